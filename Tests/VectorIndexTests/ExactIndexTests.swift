import Base
import Testing
import VectorIndex

// Contract: the oracle itself is right. It is compared with sorting all distances computed here in
// Float64, through a random history of adds, replacements and removals against a model.

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
