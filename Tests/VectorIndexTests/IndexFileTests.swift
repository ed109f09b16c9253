import Base
import CVector
import Glibc
import TestSupport
import Testing
import VectorIndex

// Contract: what was saved is what is loaded, answer for answer, and saves again to the same bytes;
// two builds give the same bytes; a damaged file is a typed error, whichever byte is flipped and
// wherever it is cut, also when the damage hides behind right checksums; a save that fails leaves
// the old file. Cannot disprove: what a disk does after fsync.

@Suite struct IndexFileTests {
  private let directory = TemporaryDirectory("vector")

  private func sample(rows: Int, dimension: Int = 5) throws -> VectorIndex {
    let index = try VectorSets.index(
      VectorSets.uniform(rows, dimension, seed: 3),
      .init(dimension: dimension, metric: .cosine, m: 2, efConstruction: 20, seed: 9))
    for id in stride(from: 0, to: rows, by: 9) { index.remove(id: UInt64(id)) }
    return index
  }

  @Test func whatWasSavedIsLoaded() throws {
    let index = try sample(rows: 300)
    try index.save(to: directory.file("a"))
    let loaded = try VectorIndex.load(from: directory.file("a"))
    #expect(loaded.options == index.options)
    #expect(loaded.count == index.count)
    #expect(loaded.tombstoneCount == index.tombstoneCount)
    #expect(loaded.brokenInvariant() == nil)
    for query in VectorSets.uniform(20, 5, seed: 4) {
      #expect(try loaded.search(query, k: 10) == index.search(query, k: 10))
    }
    // It goes on where the saved one would: the same rows give the same file.
    for one in [index, loaded] { try one.add([1, 2, 3, 4, 5], id: 1_000) }
    try index.save(to: directory.file("b"))
    try loaded.save(to: directory.file("c"))
    #expect(directory.bytes("b") == directory.bytes("c"))
    #expect(directory.names() == ["a", "b", "c"])
  }

  @Test func twoBuildsGiveTheSameBytes() throws {
    for name in ["a", "b"] { try sample(rows: 400).save(to: directory.file(name)) }
    #expect(directory.bytes("a") == directory.bytes("b"))
    let other = try VectorSets.index(
      VectorSets.uniform(400, 5, seed: 3),
      .init(dimension: 5, metric: .cosine, m: 2, efConstruction: 20, seed: 10))
    try other.save(to: directory.file("c"))
    #expect(directory.bytes("a") != directory.bytes("c"))
  }

  @Test func anEmptyIndexCanBeSaved() throws {
    try VectorIndex(options: .init(dimension: 3, metric: .l2)).save(to: directory.file("a"))
    let loaded = try VectorIndex.load(from: directory.file("a"))
    #expect(loaded.count == 0)
    try loaded.add([1, 2, 3], id: 1)
    #expect(try loaded.search([1, 2, 3], k: 1).map(\.id) == [1])
  }

  @Test func whereTheVectorsComeFromIsKept() throws {
    let attributes = IndexAttributes(
      embedder: "static-1", weightsDigest: "ab12", chunker: "3",
      extra: ["pack": "ärchivist", "": ""])
    let index = try VectorIndex(
      options: .init(dimension: 3, metric: .cosine), attributes: attributes)
    try index.save(to: directory.file("a"))
    #expect(try VectorIndex.load(from: directory.file("a")).attributes == attributes)
    let tooLong = IndexAttributes(embedder: String(repeating: "x", count: 60_000))
    #expect(throws: VectorIndexError.self) {
      try VectorIndex(options: .init(dimension: 3, metric: .cosine), attributes: tooLong)
    }
  }

  @Test func everyFlippedByteIsDetected() throws {
    try sample(rows: 20).save(to: directory.file("a"))
    let good = directory.bytes("a")
    for position in good.indices {
      directory.poke(good[position] ^ UInt8(1) << UInt8(position % 8), at: position, "a")
      #expect(throws: VectorIndexError.self, "byte \(position)") {
        try VectorIndex.load(from: directory.file("a"))
      }
      #expect(throws: VectorIndexError.self, "verify, byte \(position)") {
        try VectorIndex.verify(file: directory.file("a"))
      }
      directory.poke(good[position], at: position, "a")
    }
    #expect(try VectorIndex.load(from: directory.file("a")).count > 0)
  }

  @Test func everyTruncationIsDetected() throws {
    try sample(rows: 200).save(to: directory.file("a"))
    let good = directory.bytes("a")
    for length in stride(from: 0, to: good.count, by: 512) {
      directory.write(Array(good[..<length]), "b")
      #expect(throws: VectorIndexError.self, "\(length) bytes") {
        try VectorIndex.load(from: directory.file("b"))
      }
    }
    directory.write(good + [0], "b")
    #expect(
      throws: VectorIndexError.file(.sizeMismatch(expected: good.count, actual: good.count + 1))
    ) { try VectorIndex.load(from: directory.file("b")) }
  }

  /// Every byte of every section set to other values with checksums made right again: either a
  /// typed error, or an index whose searches work.
  @Test func damageBehindRightChecksumsNeverTraps() throws {
    try sample(rows: 20).save(to: directory.file("a"))
    let good = directory.bytes("a")
    directory.write(good, "b")
    var loaded = 0, refused = 0
    for position in good.indices where position < 4092 || position >= 4096 {
      // Of zeros, which most are padding, some.
      guard good[position] != 0 || position % 16 == 0 || position < 300 else { continue }
      for value: UInt8 in [0xFF, good[position] ^ 1] where value != good[position] {
        var bad = good
        bad[position] = value
        reseal(&bad)
        directory.overwrite(bad, "b")
        do throws(VectorIndexError) {
          let index = try VectorIndex.load(from: directory.file("b"))
          let dimension = index.options.dimension
          let query = [Float](repeating: 1, count: dimension)
          _ = try index.search(query, k: 30)
          try index.upsert(query, id: 77)
          index.compact()
          loaded += 1
        } catch { refused += 1 }
      }
    }
    // The test looked at both kinds.
    #expect(loaded > 100)
    #expect(refused > 100)
  }

  /// Computes the checksums anew where the section table still points inside the file.
  private func reseal(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { memory in
      let sections = memory.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
      for section in 0..<Int(min(sections, 64)) {
        let at = 24 + section * 24
        let offset = memory.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)
        let length = memory.loadUnaligned(fromByteOffset: at + 16, as: UInt64.self)
        guard length <= UInt64(memory.count), offset <= UInt64(memory.count),
          (length + 4095) / 4096 * 4096 <= UInt64(memory.count) - offset
        else { continue }
        let padded = Int((length + 4095) / 4096 * 4096)
        let crc = cvector_crc32c(0, memory.baseAddress! + Int(offset), padded)
        memory.storeBytes(of: crc, toByteOffset: at + 4, as: UInt32.self)
      }
      let crc = cvector_crc32c(0, memory.baseAddress, 4092)
      memory.storeBytes(of: crc, toByteOffset: 4092, as: UInt32.self)
    }
  }

  @Test func otherFilesAreRefusedByName() throws {
    directory.write(Array("certainly not an index, but long enough for its magic".utf8), "text")
    #expect(throws: VectorIndexError.file(.notAnIndex)) {
      try VectorIndex.load(from: directory.file("text"))
    }
    #expect(
      throws: VectorIndexError.file(
        .system(call: "open", path: directory.file("none"), errno: ENOENT))
    ) { try VectorIndex.load(from: directory.file("none")) }
    try sample(rows: 3).save(to: directory.file("a"))
    var later = directory.bytes("a")
    later[8] = 3
    directory.write(later, "later")
    #expect(throws: VectorIndexError.file(.versionUnsupported(3))) {
      try VectorIndex.load(from: directory.file("later"))
    }
    directory.write(Array("VIDXHNSW".utf8) + [1, 0, 0, 0], "first")
    #expect(throws: VectorIndexError.file(.versionUnsupported(1))) {
      try VectorIndex.load(from: directory.file("first"))
    }
  }

  @Test func aFailedSaveLeavesTheOldFile() throws {
    try sample(rows: 30).save(to: directory.file("a"))
    let before = directory.bytes("a")
    // The name of the file written aside is taken by a directory.
    mkdir(directory.file("a.tmp"), 0o755)
    #expect(throws: VectorIndexError.self) { try sample(rows: 40).save(to: directory.file("a")) }
    #expect(directory.bytes("a") == before)
    #expect(throws: VectorIndexError.self) {
      try sample(rows: 3).save(to: directory.file("none/a"))
    }
  }
}
