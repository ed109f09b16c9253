import Base
import Glibc
import TestSupport
import Testing
import VectorIndex

// Contract: a change that was returned is there when the index is opened again, whether it was
// saved, journalled or both; a journal cut at any byte, as a kill would leave it, opens with exactly
// the changes before the cut; damage inside it is refused; a crash between saving the index and
// beginning a new journal loses and repeats nothing.
// Not shown here: what a disk keeps of what was flushed.

@Suite struct JournaledIndexTests {
  private let directory = TemporaryDirectory("vector")
  private let options = VectorIndex.Options(
    dimension: 4, metric: .l2, m: 4, efConstruction: 20)

  private func open() throws -> JournaledIndex {
    try JournaledIndex(
      opening: directory.file("a"), options: options,
      attributes: IndexAttributes(embedder: "test"))
  }

  /// An index keeps 16 bits of each component, scaled to the row's largest.
  private func isClose(_ kept: [Float]?, _ added: [Float]) -> Bool {
    guard let kept, kept.count == added.count else { return false }
    let largest = added.map(abs).max() ?? 0
    return zip(kept, added).allSatisfy { abs($0 - $1) <= 1e-4 * largest }
  }

  private func vector(_ seed: Int) -> [Float] { [Float(seed), 1, Float(seed % 7), -2] }

  @Test func changesSurviveWithoutASave() throws {
    do {
      let store = try open()
      for id in 0..<40 { try store.add(vector(id), id: UInt64(id)) }
      for id in stride(from: 0, to: 40, by: 4) { #expect(try store.remove(id: UInt64(id))) }
      try store.upsert(vector(500), id: 5)
      #expect(try !store.remove(id: 4_000))
      #expect(throws: VectorIndexError.duplicateID(5)) { try store.add(vector(1), id: 5) }
      #expect(throws: VectorIndexError.self) { try store.add([1, 2], id: 900) }
      try store.flush()
    }
    let store = try open()
    #expect(store.recovery == .init(replayed: 51, tornBytes: 0))
    #expect(store.index.count == 30)
    #expect(store.index.attributes.embedder == "test")
    #expect(isClose(store.index.vector(for: 5), vector(500)))
    #expect(store.index.vector(for: 8) == nil)
    #expect(try store.index.search(vector(7), k: 1).map(\.id) == [7])
  }

  @Test func aCheckpointEmptiesTheJournal() throws {
    do {
      let store = try open()
      for id in 0..<20 { try store.add(vector(id), id: UInt64(id)) }
      try store.checkpoint()
      #expect(directory.bytes("a.journal").count == 32)
      try store.add(vector(20), id: 20)
    }
    let store = try open()
    #expect(store.recovery.replayed == 1)
    #expect(store.index.count == 21)
  }

  @Test func aCrashBetweenSavingAndTheNewJournalRepeatsNothing() throws {
    let store = try open()
    for id in 0..<20 { try store.add(vector(id), id: UInt64(id)) }
    #expect(try store.remove(id: 3))
    let old = directory.bytes("a.journal")
    try store.checkpoint()
    try store.add(vector(30), id: 30)
    // The new index with the old journal: what it holds is in the index already.
    directory.write(old, "a.journal")
    let again = try open()
    #expect(again.recovery.replayed == 0)
    #expect(again.index.count == 19)
    try again.add(vector(31), id: 31)
    #expect(try open().index.count == 20)
  }

  @Test func anOldIndexWithANewerJournalIsRefused() throws {
    let store = try open()
    let old = directory.bytes("a")
    try store.add(vector(1), id: 1)
    try store.checkpoint()
    try store.add(vector(2), id: 2)
    directory.write(old, "a")
    #expect(throws: VectorIndexError.self) { try open() }
  }

  @Test func aJournalCutAnywhereKeepsWhatWasBefore() throws {
    do {
      let store = try open()
      for id in 0..<6 { try store.add(vector(id), id: UInt64(id)) }
      try store.remove(id: 2)
    }
    let whole = directory.bytes("a.journal")
    let record = 24 + 8 + 16
    for length in 32...whole.count {
      directory.write(Array(whole[..<length]), "a.journal")
      let store = try open()
      let adds = min((length - 32) / record, 6)
      let isRemoved = length == whole.count
      #expect(store.recovery.replayed == adds + (isRemoved ? 1 : 0), "\(length) bytes")
      #expect(store.index.count == adds - (isRemoved ? 1 : 0))
      // It goes on from there.
      try store.add(vector(9), id: 99)
      #expect(isClose(try open().index.vector(for: 99), vector(9)))
    }
    for length in 0..<32 {
      directory.write(Array(whole[..<length]), "a.journal")
      #expect(throws: VectorIndexError.self) { try open() }
    }
  }

  @Test func damageInsideTheJournalIsRefused() throws {
    do {
      let store = try open()
      for id in 0..<4 { try store.add(vector(id), id: UInt64(id)) }
    }
    let whole = directory.bytes("a.journal")
    let lastPayload = whole.count - 24
    for position in 0..<lastPayload {
      var bad = whole
      bad[position] ^= 0x10
      directory.overwrite(bad, "a.journal")
      #expect(throws: VectorIndexError.self, "byte \(position)") { try open() }
    }
    // In the payload of the last change damage looks like a torn write, which a power cut leaves.
    var torn = whole
    torn[whole.count - 1] ^= 1
    directory.write(torn, "a.journal")
    #expect(try open().recovery == .init(replayed: 3, tornBytes: 48))
  }
}
