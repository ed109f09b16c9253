import Base
import Testing
import VectorIndex

// Contract: the probe's recall is within 0.01 of the recall counted here by brute force over the
// same queries, at ef 10 and 64; drift is 0 at first and rises with what is asked of a worse
// index; a run is bounded; without samples nothing is done.

@Suite struct RecallProbeTests {
  private let rows = VectorSets.clustered(VectorSets.rows, 24, seed: 21)
  private let queries = VectorSets.clustered(200, 24, seed: 21)

  private func distance(_ a: [Float], _ b: [Float]) -> Double {
    zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
  }

  /// Mean share of the true ten among what the index finds.
  private func recall(_ index: VectorIndex, ef: Int) throws -> Double {
    var sum = 0.0
    for query in queries {
      let limit = rows.map { distance($0, query) }.sorted()[9] * (1 + 1e-6)
      let found = try index.search(query, k: 10, ef: ef)
      sum += Double(found.count { distance(rows[Int($0.id)], query) <= limit }) / 10
    }
    return sum / Double(queries.count)
  }

  @Test(arguments: [10, 64]) func agreesWithBruteForce(ef: Int) throws {
    // A poor graph, so that there is something to see.
    let index = try VectorSets.index(
      rows, .init(dimension: 24, metric: .l2, m: 4, efConstruction: 8))
    let probe = RecallProbe(
      index, options: .init(k: 10, ef: ef, sampleEvery: 1, sampleMax: 200, runMax: 50))
    #expect(try probe.run() == 0)
    #expect(probe.report.comparisons == 0 && probe.report.recall == 1)
    for query in queries { probe.observe(query) }
    for _ in 0..<4 { #expect(try probe.run() == 50) }
    #expect(probe.report.comparisons == 200)
    #expect(abs(probe.report.recall - (try recall(index, ef: ef))) <= 0.01)
    #expect(probe.report.drift == 0)
  }

  @Test func samplesOneInSoManyAndKeepsABound() throws {
    let index = try VectorSets.index(
      Array(rows[..<200]), .init(dimension: 24, metric: .l2))
    let probe = RecallProbe(index, options: .init(sampleEvery: 10, sampleMax: 8, runMax: 100))
    for query in queries[..<30] { probe.observe(query) }
    #expect(try probe.run() == 3)
    for query in queries { probe.observe(query) }
    #expect(try probe.run() == 8)
    #expect(probe.report.recall == 1)
  }
}
