import Base
import Glibc
import TestSupport
import Testing
import VectorIndex

// Contract: scores are BM25's, counted here from its formula; adding, removing and loading in any
// order gives the scores of an index that only ever held what is left; a damaged file is a typed
// error; fusion prefers what several rankings name.

@Suite struct TextIndexTests {
  private let directory = TemporaryDirectory("vector")

  /// Words with the frequencies of a language: few common, many rare.
  private func texts(_ count: Int, seed: UInt64) -> [[String]] {
    let random = SeededRandom(seed: seed)
    return (0..<count).map { _ in
      (0..<(3 + Int(random.next(below: 20)))).map { _ in
        // The first word is in more than half of the texts.
        "w\(Int(random.unit() * random.unit() * random.unit() * random.unit() * 300))"
      }
    }
  }

  /// BM25 of every text, from the formula.
  private func scores(_ texts: [UInt64: [String]], _ query: [String]) -> [UInt64: Double] {
    let mean = Double(texts.values.reduce(0) { $0 + $1.count }) / Double(texts.count)
    var scores: [UInt64: Double] = [:]
    let sets = texts.values.map { Set($0) }
    func idf(_ term: String) -> Double {
      let found = Double(sets.count { $0.contains(term) })
      return log((Double(texts.count) - found + 0.5) / (found + 0.5))
    }
    let terms = sets.reduce(into: Set<String>()) { $0.formUnion($1) }
    let floor = 0.25 * terms.reduce(0) { $0 + idf($1) } / Double(terms.count)
    let weights = Dictionary(
      uniqueKeysWithValues: Set(query).map { ($0, idf($0) < 0 ? floor : idf($0)) })
    for (id, text) in texts {
      for term in query where text.contains(term) {
        let weight = weights[term]!
        let frequency = Double(text.count { $0 == term })
        let length = 0.25 + 0.75 * Double(text.count) / mean
        scores[id, default: 0] += weight * frequency * 2.5 / (frequency + 1.5 * length)
      }
    }
    return scores
  }

  private func check(_ index: TextIndex, _ texts: [UInt64: [String]]) {
    for query in self.texts(30, seed: 5) {
      let wanted = scores(texts, query)
      let found = index.search(query, limit: 1_000)
      #expect(Set(found.map(\.id)) == Set(wanted.keys))
      for match in found { #expect(abs(match.score - wanted[match.id]!) < 1e-9) }
      for (better, worse) in zip(found, found.dropFirst()) {
        #expect(better.score > worse.score || better.score == worse.score && better.id < worse.id)
      }
    }
  }

  @Test func scoresAreTheFormulas() throws {
    var index = TextIndex()
    var kept: [UInt64: [String]] = [:]
    for (id, text) in texts(200, seed: 1).enumerated() {
      try index.add(text, id: UInt64(id))
      kept[UInt64(id)] = text
    }
    check(index, kept)
    for id in stride(from: UInt64(0), to: 200, by: 3) {
      let wasThere = index.remove(id: id)
      #expect(wasThere)
      kept[id] = nil
    }
    let isStillThere = index.remove(id: 0)
    #expect(!isStillThere)
    check(index, kept)
    for (id, text) in texts(90, seed: 2).enumerated() {
      try index.add(text, id: UInt64(1_000 + id))
      kept[UInt64(1_000 + id)] = text
    }
    #expect(index.count == kept.count)
    check(index, kept)
    try index.save(to: directory.file("a"))
    let loaded = try TextIndex.load(from: directory.file("a"))
    check(loaded, kept)
    try loaded.save(to: directory.file("b"))
    #expect(directory.bytes("a") == directory.bytes("b"))
  }

  @Test func odds() throws {
    var index = TextIndex()
    #expect(index.search(["a"], limit: 3).isEmpty)
    try index.add([], id: 1)
    try index.add(["a", "a"], id: 2)
    var copy = index
    #expect(throws: VectorIndexError.duplicateID(2)) { try copy.add(["b"], id: 2) }
    #expect(index.search(["a"], limit: 3).map(\.id) == [2])
    #expect(index.search(["a"], limit: 0).isEmpty)
    #expect(index.search(["b"], limit: 3).isEmpty)
    #expect(index.search(["a"], limit: 3, filter: .matching { $0 != 2 }).isEmpty)
  }

  @Test func damageIsRefused() throws {
    var index = TextIndex()
    for (id, text) in texts(20, seed: 3).enumerated() { try index.add(text, id: UInt64(id)) }
    try index.save(to: directory.file("a"))
    let good = directory.bytes("a")
    directory.write(good, "b")
    for position in stride(from: 0, to: good.count, by: 7) {
      var bad = good
      bad[position] ^= 0x40
      directory.overwrite(bad, "b")
      #expect(throws: VectorIndexError.self) { try TextIndex.load(from: directory.file("b")) }
    }
    // A vector index is no text index.
    try VectorIndex(options: .init(dimension: 3, metric: .l2)).save(to: directory.file("c"))
    #expect(throws: VectorIndexError.self) { try TextIndex.load(from: directory.file("c")) }
    #expect(throws: VectorIndexError.self) { try VectorIndex.load(from: directory.file("a")) }
  }

  @Test func fusionPrefersWhatSeveralName() {
    let fused = RankFusion.reciprocal([[1, 2, 3], [3, 2, 9]], limit: 3)
    #expect(fused.map(\.id) == [3, 2, 1])
    #expect(abs(fused[1].score - 2.0 / 62) < 1e-12)
    #expect(RankFusion.reciprocal([[5], [4]]).map(\.id) == [4, 5])
    #expect(RankFusion.reciprocal([]).isEmpty)
  }
}
