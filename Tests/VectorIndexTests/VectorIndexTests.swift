import Base
import Testing
import VectorIndex

// Contract: a search finds what an exact scan finds (recall@10 ≥ 0.95 at ef 64) for a fraction of
// its distances, on easy and on hard data; removed rows are gone at once; a filter never costs
// answers; bad input is a typed error and changes nothing; the same build twice is the same file.
// Cannot disprove: speed, and recall at millions of rows.

@Suite struct VectorIndexTests {
  static let dimension = 64

  enum Shape: CaseIterable { case uniform, clustered, duplicates }

  static func rows(_ shape: Shape, _ count: Int = VectorSets.rows) -> [[Float]] {
    switch shape {
    case .uniform: VectorSets.uniform(count, 16, seed: 11)
    case .clustered: VectorSets.clustered(count, dimension, seed: 12)
    case .duplicates: VectorSets.duplicates(count, dimension, seed: 13)
    }
  }

  @Test(arguments: Shape.allCases, Metric.allCases)
  func recallAgainstExactSearch(_ shape: Shape, _ metric: Metric) throws {
    let rows = Self.rows(shape)
    let dimension = rows[0].count
    let index = try VectorSets.index(rows, .init(dimension: dimension, metric: metric))
    #expect(index.brokenInvariant() == nil)
    let exact = try ExactIndex(dimension: dimension, metric: metric)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    let queries = Self.rows(shape, rows.count + 50).suffix(50)
    var recall = 0.0
    var evaluations = 0
    for query in queries {
      let truth = try exact.search(query, k: 400)
      let found = try index.searchCounting(query.span, k: 10, ef: 64)
      evaluations += found.evaluations
      #expect(found.neighbours.count == 10)
      #expect(found.neighbours.map(\.distance) == found.neighbours.map(\.distance).sorted())
      // By true distances: those of an index are rounded, which tells equal rows apart.
      let limit = truth[9].distance + 1e-5 * max(1, abs(truth[9].distance))
      let good = Set(truth.prefix { $0.distance <= limit }.map(\.id))
      recall += Double(found.neighbours.count { good.contains($0.id) }) / 10
    }
    #expect(recall / 50 >= 0.95, "\(shape), \(metric): \(recall / 50)")
    #expect(evaluations / 50 < rows.count * 7 / 10, "a scan in disguise: \(evaluations / 50)")
  }

  @Test func removedRowsAreGoneAndReplacedOnesFound() throws {
    let rows = Self.rows(.clustered, 600)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .l2))
    for id in stride(from: 0, to: 600, by: 3) { #expect(index.remove(id: UInt64(id))) }
    #expect(!index.remove(id: 0))
    #expect(index.count == 400)
    for id in 0..<600 {
      let nearest = try index.search(rows[id], k: 5)
      #expect(nearest.allSatisfy { $0.id % 3 != 0 })
      #expect(nearest.contains { $0.id == UInt64(id) } == (id % 3 != 0))
    }
    try index.upsert(rows[3], id: 1)
    let nearest = try index.search(rows[3], k: 1)
    #expect(nearest.map(\.id) == [1])
    #expect(abs(nearest[0].distance) < 1e-4)
    let stored = try #require(index.vector(for: 1))
    #expect(zip(stored, rows[3]).allSatisfy { abs($0 - $1) < 1e-4 })
    #expect(index.vector(for: 3) == nil)
    #expect(index.count == 400)
    #expect((1...201).contains(index.tombstoneCount))
    let before = Set(try index.search(rows[7], k: 400, ef: 400).map(\.id))
    index.compact()
    #expect(index.tombstoneCount == 0)
    #expect(index.brokenInvariant() == nil)
    #expect(Set(try index.search(rows[7], k: 400, ef: 400).map(\.id)) == before)
  }

  @Test func everyRowCanBeRemovedAndAddedAgain() throws {
    let rows = Self.rows(.uniform, 60)
    let index = try VectorSets.index(rows, .init(dimension: 16, metric: .cosine))
    for id in 0..<60 { index.remove(id: UInt64(id)) }
    #expect(index.count == 0)
    #expect(try index.search(rows[0], k: 5).isEmpty)
    index.compact()
    #expect(try index.search(rows[0], k: 5).isEmpty)
    for (id, row) in rows.enumerated() { try index.add(row, id: UInt64(id)) }
    #expect(try index.search(rows[9], k: 1).map(\.id) == [9])
  }

  /// Filters from all to none, scattered and in one far cluster: always min(k, allowed) answers,
  /// and those of an exact scan where few are allowed.
  @Test(arguments: [1, 2, 7, 50, 400, 2_000])
  func filtersNeverCostAnswers(_ keepOneIn: Int) throws {
    let rows = Self.rows(.clustered, 1_000)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .cosine))
    let exact = try ExactIndex(dimension: Self.dimension, metric: .cosine)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    let passes = { (id: UInt64) in id % UInt64(keepOneIn) == UInt64(keepOneIn - 1) }
    let allowed = (0..<1_000).count { passes(UInt64($0)) }
    var recall = 0.0
    for query in rows.prefix(20) {
      let found = try index.search(query, k: 10, ef: 64, filter: .matching(passes))
      #expect(found.count == min(10, allowed))
      #expect(found.allSatisfy { passes($0.id) })
      recall += VectorSets.recall(found, truth: try exact.search(query, k: 10, filter: passes))
    }
    #expect(recall / 20 >= 0.95)
  }

  @Test func moreThanThereIsGivesAll() throws {
    let rows = Self.rows(.duplicates, 90)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .cosine))
    #expect(try index.search(rows[0], k: 1_000).count == 90)
    #expect(Set(try index.search(rows[0], k: 90).map(\.id)).count == 90)
  }

  @Test func badInputIsATypedErrorAndChangesNothing() throws {
    let index = try VectorIndex(options: .init(dimension: 3, metric: .cosine))
    try index.add([1, 2, 3], id: 5)
    let refusals: [([Float], VectorIndexError)] = [
      ([1, 2], .dimensionMismatch(expected: 3, actual: 2)),
      ([1, .nan, 3], .componentNotFinite(position: 1)),
      ([1, 2, -.infinity], .componentNotFinite(position: 2)),
      ([0, 0, -0.0], .zeroVector),
    ]
    for (vector, error) in refusals {
      #expect(throws: error) { try index.add(vector, id: 6) }
      #expect(throws: error) { try index.upsert(vector, id: 5) }
      #expect(throws: error) { try index.search(vector, k: 1) }
    }
    #expect(throws: VectorIndexError.duplicateID(5)) { try index.add([1, 0, 0], id: 5) }
    for k in [0, -1, Int.max] {
      #expect(
        throws: VectorIndexError.parameterOutOfRange(
          name: "k", value: k, range: VectorIndex.kRange)
      ) { try index.search([1, 0, 0], k: k) }
    }
    #expect(throws: VectorIndexError.self) { try index.search([1, 0, 0], k: 1, ef: 0) }
    #expect(index.count == 1)
    #expect(index.tombstoneCount == 0)
    for options: VectorIndex.Options in [
      .init(dimension: 0, metric: .l2), .init(dimension: 4_097, metric: .l2),
      .init(dimension: 3, metric: .l2, m: 1), .init(dimension: 3, metric: .l2, efConstruction: 0),
    ] {
      #expect(throws: VectorIndexError.self) { try VectorIndex(options: options) }
    }
  }

  /// Components whose squares vanish or overflow in Float32.
  @Test func extremeMagnitudes() throws {
    let cosine = try VectorIndex(options: .init(dimension: 2, metric: .cosine))
    try cosine.add([1e-30, 0], id: 1)
    try cosine.add([0, 3e38], id: 2)
    #expect(try cosine.search([1e38, 1e30], k: 1).map(\.id) == [1])
    for metric in [Metric.l2, .innerProduct] {
      let index = try VectorIndex(options: .init(dimension: 2, metric: metric))
      #expect(throws: VectorIndexError.magnitudeTooLarge) { try index.add([1e30, 0], id: 1) }
      try index.add([9e18, 0], id: 1)
      try index.add([-9e18, 0], id: 2)
      let found = try index.search([9e18, 0], k: 2)
      #expect(found.map(\.id) == [1, 2])
      #expect(found.allSatisfy { $0.distance.isFinite })
    }
  }

  /// Readers on several threads while one thread adds, replaces and removes: every answer is of
  /// rows that were there, and at rest all is as one thread alone would have left it.
  @Test func searchesGoOnWhileRowsChange() async throws {
    let rows = Self.rows(.clustered, 500)
    let index = try VectorSets.index(
      Array(rows.prefix(200)), .init(dimension: Self.dimension, metric: .cosine))
    try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        for id in 200..<500 {
          try index.add(rows[id], id: UInt64(id))
          if id % 3 == 0 { index.remove(id: UInt64(id - 200)) }
          if id % 50 == 0 { index.compact() }
        }
        return 0
      }
      for reader in 0..<3 {
        group.addTask {
          var answers = 0
          for query in rows[(reader * 100)..<(reader * 100 + 150)] {
            let found = try index.search(query, k: 10)
            #expect(found.count == 10)
            #expect(Set(found.map(\.id)).count == 10)
            answers += found.count
          }
          return answers
        }
      }
      let answers = try await group.reduce(0, +)
      #expect(answers == 4_500)
    }
    #expect(index.count == 400)
    #expect(index.brokenInvariant() == nil)
    let removed = Set((200..<500).filter { $0 % 3 == 0 }.map { UInt64($0 - 200) })
    #expect(try index.search(rows[0], k: 500).allSatisfy { !removed.contains($0.id) })
  }

  @Test func emptyAndSingle() throws {
    let index = try VectorIndex(options: .init(dimension: 1, metric: .l2))
    #expect(try index.search([1], k: 3).isEmpty)
    try index.add([4], id: .max)
    let found = try index.search([1], k: 3)
    #expect(found.map(\.id) == [.max])
    #expect(abs(found[0].distance - 9) < 1e-3)
  }
}
