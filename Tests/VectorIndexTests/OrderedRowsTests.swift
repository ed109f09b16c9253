// Contract: rows that come in one call find each other, however they lie: in the order of their
// clusters, each a step from the one before, each twice. An index of them is as good as one of the
// same rows in any other order.

import Base
import Testing
import VectorIndex

@Suite struct OrderedRowsTests {
  static let dimension = 32

  enum Shape: CaseIterable { case clusters, steps, pairs }

  private func rows(_ shape: Shape) -> [[Float]] {
    let count = VectorSets.rows
    let random = SeededRandom(seed: 201)
    let noise = VectorSets.uniform(count, Self.dimension, seed: 202)
    switch shape {
    case .clusters:
      let centres = VectorSets.uniform(50, Self.dimension, seed: 203)
      return noise.enumerated().map { index, row in
        zip(row, centres[index * centres.count / count]).map { $0 * 0.3 + $1 }
      }
    case .steps:
      var at = [Float](repeating: 0, count: Self.dimension)
      return noise.map { row in
        for index in at.indices { at[index] += Float(random.unit() - 0.5) * 0.2 }
        return zip(row, at).map { $0 * 0.3 + $1 }
      }
    case .pairs: return (0..<count).map { noise[$0 / 2] }
    }
  }

  private func recall(
    _ rows: [[Float]], _ queries: [[Float]], isAddedAtOnce: Bool
  ) throws -> Double {
    let options = VectorIndex.Options(dimension: Self.dimension, metric: .l2)
    let index = try VectorIndex(options: options)
    let exact = try ExactIndex(dimension: Self.dimension, metric: .l2)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    if isAddedAtOnce {
      let flat = rows.flatMap { $0 }
      try index.add(rows: flat.span, ids: Array(0..<UInt64(rows.count)).span, threads: 2)
    } else {
      for (id, row) in rows.enumerated() { try index.add(row, id: UInt64(id)) }
    }
    #expect(index.brokenInvariant() == nil)
    var sum = 0.0
    for query in queries {
      sum += VectorSets.recall(
        try index.search(query, k: 10, ef: 32), truth: try exact.search(query, k: 10))
    }
    return sum / Double(queries.count)
  }

  @Test(arguments: Shape.allCases) func rowsAddedAtOnceFindEachOther(_ shape: Shape) throws {
    let rows = rows(shape)
    let noise = VectorSets.uniform(100, Self.dimension, seed: 204)
    let queries = noise.enumerated().map { index, noise in
      zip(rows[index * rows.count / 100], noise).map { $0 + 0.1 * $1 }
    }
    let atOnce = try recall(rows, queries, isAddedAtOnce: true)
    let single = try recall(rows, queries, isAddedAtOnce: false)
    #expect(atOnce >= single - 0.02, "\(shape): \(atOnce) at once, \(single) one by one")
    #expect(single >= 0.85, "\(shape): \(single)")
  }
}
