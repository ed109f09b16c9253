// Contract: rows that lie so near each other that eight bits a component hardly tell them apart are
// found all the same: clouds far from each other, a curve, one wide dimension, and a set of which
// only a part is like that. Beside removed rows, too.

import Base
import Glibc
import Testing
import VectorIndex

@Suite struct NearRowsTests {
  static let dimension = 24

  enum Shape: CaseIterable { case clouds, curve, wide, mixed }

  private func rows(_ shape: Shape, _ count: Int, seed: UInt64) -> [[Float]] {
    let noise = VectorSets.uniform(count, Self.dimension, seed: seed)
    switch shape {
    case .clouds:
      let centres = VectorSets.uniform(20, Self.dimension, seed: 301)
      return noise.enumerated().map { index, row in
        zip(centres[index % 20], row).map { $0 + 0.01 * $1 }
      }
    case .curve:
      return noise.enumerated().map { index, row in
        let angle = Double(row[0]) * 3
        return (0..<Self.dimension).map { Float(sin(angle * Double($0 + 1) / 4)) }
      }
    case .wide:
      return noise.map { row in [row[0] * 300] + row.dropFirst() }
    case .mixed:
      let clouds = rows(.clouds, count, seed: seed &+ 1)
      return noise.enumerated().map { index, row in index % 2 == 0 ? row : clouds[index] }
    }
  }

  private func recall(_ index: VectorIndex, _ exact: ExactIndex, _ queries: [[Float]], ef: Int)
    throws -> Double
  {
    var sum = 0.0
    for query in queries {
      let truth = try exact.search(query, k: 10)
      let limit = try #require(truth.last).distance
      let found = try index.search(query, k: 10, ef: ef)
      sum += Double(found.count { $0.distance <= limit * (1 + 1e-3) }) / 10
    }
    return sum / Double(queries.count)
  }

  @Test(arguments: Shape.allCases, [Metric.l2, .cosine])
  func rowsThatLieTogetherAreToldApart(_ shape: Shape, _ metric: Metric) throws {
    let rows = rows(shape, VectorSets.rows, seed: 302)
    let index = try VectorIndex(options: .init(dimension: Self.dimension, metric: metric))
    let exact = try ExactIndex(dimension: Self.dimension, metric: metric)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    let (flat, ids) = (rows.flatMap { $0 }, Array(0..<UInt64(rows.count)))
    try index.add(rows: flat.span, ids: ids.span, threads: 2)
    #expect(index.brokenInvariant() == nil)
    let queries = self.rows(shape, 60, seed: 303)
    let found = try recall(index, exact, queries, ef: 64)
    #expect(found >= 0.95, "\(shape), \(metric): \(found)")

    for id in stride(from: 0, to: rows.count, by: 10) {
      index.remove(id: UInt64(id))
      exact.remove(id: UInt64(id))
    }
    let left = try recall(index, exact, queries, ef: 64)
    #expect(left >= 0.95, "\(shape), \(metric), some removed: \(left)")
  }

  /// Where codes put one of the nearest just behind the last candidate, it is an answer all the same.
  @Test(arguments: [2, 3]) func asManyCandidatesAsAnswersWillDo(dimension: Int) throws {
    let rows = VectorSets.uniform(VectorSets.rows, dimension, seed: 304)
    let index = try VectorSets.index(rows, .init(dimension: dimension, metric: .l2))
    let exact = try ExactIndex(dimension: dimension, metric: .l2)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    let queries = VectorSets.uniform(100, dimension, seed: 305)
    let found = try recall(index, exact, queries, ef: 10)
    #expect(found >= 0.99, "\(dimension): \(found)")
  }

  /// Comparing candidates by all their bits ends where codes cannot have misplaced the next one.
  @Test(arguments: Metric.allCases) func candidatesThatCodesMisplaced(_ metric: Metric) throws {
    let rows = VectorSets.uniform(VectorSets.rows, 64, seed: 306)
    let index = try VectorSets.index(rows, .init(dimension: 64, metric: metric))
    let exact = try ExactIndex(dimension: 64, metric: metric)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    var missed = 0
    for query in VectorSets.uniform(300, 64, seed: 307) {
      let truth = Set(try exact.search(query, k: 10).map(\.id))
      missed += truth.subtracting(try index.search(query, k: 10, ef: rows.count).map(\.id)).count
    }
    // Distances by 16 bits may still change near ties.
    #expect(missed <= 2, "\(metric): \(missed) of 3000")
  }
}
