import Base
import Glibc
import TestSupport
import Testing
import VectorIndex

// Contract: a mapped index answers as the loaded one; whatever bytes the file holds, opening it is a
// typed error or its searches return and stay inside; the first change loads it whole and throws
// what it finds damaged; a file that is replaced by renaming goes on being read as it was.
// Not shown here: how long opening takes (the benchmark), and files cut short under the mapping.

@Suite struct MappedIndexTests {
  private let directory = TemporaryDirectory("vector")

  private func sample(_ rows: Int) throws -> VectorIndex {
    let index = try VectorSets.index(
      VectorSets.uniform(rows, 5, seed: 3),
      .init(dimension: 5, metric: .cosine, m: 2, efConstruction: 20, seed: 9))
    for id in stride(from: 0, to: rows, by: 9) { index.remove(id: UInt64(id)) }
    return index
  }

  @Test func answersAsTheLoadedOne() throws {
    let index = try sample(400)
    try index.save(to: directory.file("a"))
    let mapped = try VectorIndex.open(mapping: directory.file("a"))
    #expect(mapped.count == index.count)
    #expect(mapped.vector(for: 5) == index.vector(for: 5))
    #expect(mapped.vector(for: 9) == nil)
    let even = SearchFilter.matching { $0 % 2 == 0 }
    for query in VectorSets.uniform(20, 5, seed: 4) {
      #expect(try mapped.search(query, k: 10) == index.search(query, k: 10))
      #expect(
        try mapped.search(query, k: 10, filter: even) == index.search(query, k: 10, filter: even))
    }
  }

  @Test func aChangeLoadsItWhole() throws {
    try sample(400).save(to: directory.file("a"))
    let mapped = try VectorIndex.open(mapping: directory.file("a"))
    // Another file under its name: the index is still the one that was opened.
    try sample(30).save(to: directory.file("a"))
    try mapped.add([9, 9, 9, 9, 1], id: 1_000)
    #expect(mapped.remove(id: 1))
    #expect(mapped.count == 355)
    #expect(mapped.brokenInvariant() == nil)
    #expect(try mapped.search([9, 9, 9, 9, 1], k: 1).map(\.id) == [1_000])
    try mapped.save(to: directory.file("b"))
    #expect(try VectorIndex.load(from: directory.file("b")).count == 355)
  }

  @Test func noByteLeadsOutside() throws {
    try sample(60).save(to: directory.file("a"))
    let good = directory.bytes("a")
    let queries = VectorSets.uniform(3, 5, seed: 4)
    var opened = 0, refused = 0
    for position in good.indices {
      guard good[position] != 0 || position % 16 == 0 else { continue }
      for value: UInt8 in [0xFF, good[position] ^ 1] {
        directory.poke(value, at: position, "a")
        do throws(VectorIndexError) {
          let index = try VectorIndex.open(mapping: directory.file("a"))
          for query in queries {
            #expect(try index.search(query, k: 20, ef: 30).count <= 20)
            _ = try index.search(query, k: 5, filter: .matching { $0 < 30 })
          }
          _ = index.vector(for: 7)
          opened += 1
        } catch { refused += 1 }
      }
      directory.poke(good[position], at: position, "a")
    }
    #expect(opened > 100 && refused > 100)
  }

  @Test func damageIsFoundByTheFirstChange() throws {
    try sample(60).save(to: directory.file("a"))
    let good = directory.bytes("a")
    // The last byte that is not padding belongs to a section that is mapped.
    let position = try #require(good.lastIndex { $0 != 0 })
    directory.poke(good[position] ^ 1, at: position, "a")
    do throws(VectorIndexError) {
      let mapped = try VectorIndex.open(mapping: directory.file("a"))
      #expect(throws: VectorIndexError.self) { try mapped.add([1, 2, 3, 4, 5], id: 99) }
      #expect(!mapped.remove(id: 1))
      #expect(try mapped.search([1, 2, 3, 4, 5], k: 3).count == 3)
    } catch {
      // In a section that is read at once: found even earlier.
      #expect(error == .file(.checksumMismatch(section: "mean")))
    }
  }

  @Test func everyTruncationIsRefused() throws {
    try sample(100).save(to: directory.file("a"))
    let good = directory.bytes("a")
    for length in stride(from: 0, to: good.count, by: 512) {
      directory.write(Array(good[..<length]), "b")
      #expect(throws: VectorIndexError.self) {
        try VectorIndex.open(mapping: directory.file("b"))
      }
    }
  }
}
