import Base
import Testing
import VectorIndex

// Contract: the oracle itself is right. It is compared with sorting all distances computed here in
// Float64, through a random history of adds, replacements and removals against a model. A batch
// gives what single calls give, bit for bit, also where rows are equal, or so long or so far in a
// few components that their codes prove nothing.

@Suite struct ExactIndexTests {
  @Test(arguments: Metric.allCases) func agreesWithSortingAllDistances(_ metric: Metric) throws {
    let random = SeededRandom(seed: 99)
    let index = try ExactIndex(dimension: 5, metric: metric)
    var model: [UInt64: [Float]] = [:]
    for _ in 0..<400 {
      let id = random.next(below: 60)
      let vector = (0..<5).map { _ in Float(random.unit() - 0.5) }
      switch random.next(below: 3) {
      case 0: #expect(index.remove(id: id) == (model.removeValue(forKey: id) != nil))
      case 1:
        try index.upsert(vector, id: id)
        model[id] = vector
      default:
        if model[id] == nil {
          try index.add(vector, id: id)
          model[id] = vector
        } else {
          #expect(throws: VectorIndexError.duplicateID(id)) { try index.add(vector, id: id) }
        }
      }
      #expect(index.count == model.count)
      let found = try index.search(vector, k: 7)
      let truth = model.map { (distance(metric, $0.value, vector), $0.key) }.sorted(by: <)
      #expect(found.map(\.id) == truth.prefix(7).map(\.1))
      for (neighbour, expected) in zip(found, truth) {
        #expect(abs(Double(neighbour.distance) - expected.0) < 1e-5)
      }
    }
  }

  enum Shape: CaseIterable { case clustered, uniform, duplicates, raw, outliers }

  private static func rows(_ shape: Shape, _ count: Int, _ dimension: Int) -> [[Float]] {
    let random = SeededRandom(seed: 98)
    switch shape {
    case .clustered: return VectorSets.clustered(count, dimension, seed: 97)
    case .uniform: return VectorSets.uniform(count, dimension, seed: 97)
    case .duplicates: return VectorSets.duplicates(count, dimension, seed: 97)
    case .raw:
      return VectorSets.clustered(count, dimension, seed: 97).map { row in
        let length = Float(random.unit() * 24 + 1)
        return row.map { $0 * length }
      }
    case .outliers:
      return VectorSets.clustered(count, dimension, seed: 97).map { row in
        var row = row
        row[1] *= 300
        return row
      }
    }
  }

  @Test(arguments: Metric.allCases, Shape.allCases)
  func batchesGiveWhatSingleCallsGive(_ metric: Metric, _ shape: Shape) throws {
    for dimension in [5, 64, 384] {
      let data = Self.rows(shape, 900, dimension)
      let index = try ExactIndex(dimension: dimension, metric: metric)
      #expect(try batch(index, data.prefix(3), k: 2) == [[], [], []])
      for (id, row) in data.prefix(850).enumerated() { try index.add(row, id: UInt64(id)) }
      for id in stride(from: UInt64(3), to: 850, by: 7) { index.remove(id: id) }
      for id in UInt64(0)..<10 { try index.upsert(data[Int(id) + 840], id: id) }
      for (count, k) in [(1, 5), (32, 1), (45, 10), (3, 200), (2, 2_000)] {
        let queries = data.suffix(count)
        for (query, found) in zip(queries, try batch(index, queries, k: k)) {
          #expect(found == (try index.search(query, k: k)), "\(dimension) \(count) \(k)")
        }
      }
    }
  }

  private func batch(_ index: ExactIndex, _ queries: ArraySlice<[Float]>, k: Int) throws
    -> [[Neighbour]]
  {
    let none = Neighbour(id: .max, distance: -1)
    var results = [Neighbour](repeating: none, count: queries.count * k)
    var counts = [Int](repeating: -1, count: queries.count)
    let flat = queries.flatMap { $0 }
    var resultSpan = results.mutableSpan
    var countSpan = counts.mutableSpan
    try index.search(batch: flat.span, k: k, into: &resultSpan, counts: &countSpan)
    return counts.enumerated().map { Array(results[$0 * k..<$0 * k + $1]) }
  }

  private func distance(_ metric: Metric, _ a: [Float], _ b: [Float]) -> Double {
    let dot = { (x: [Float], y: [Float]) in
      zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    switch metric {
    case .cosine: return 1 - dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    case .innerProduct: return 1 - dot(a, b)
    case .l2: return dot(a, a) + dot(b, b) - 2 * dot(a, b)
    }
  }

  @Test func refusesBadInput() throws {
    let index = try ExactIndex(dimension: 2, metric: .cosine)
    #expect(throws: VectorIndexError.zeroVector) { try index.add([0, 0], id: 1) }
    #expect(throws: VectorIndexError.dimensionMismatch(expected: 2, actual: 0)) {
      try index.search([], k: 1)
    }
    #expect(throws: VectorIndexError.self) { try index.search([1, 1], k: 0) }
    #expect(throws: VectorIndexError.self) { try ExactIndex(dimension: 0, metric: .l2) }
    #expect(index.vector(for: 1) == nil)
  }
}
