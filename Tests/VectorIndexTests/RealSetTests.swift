// Contract: on the set that KFM_TEST_DATA names, exact search gives the answers that came with it,
// an index of its rows reaches the recall of a good graph, counted here against those answers, and
// the probe says so too.
// Not shown here: without the variable, anything; then the test says that it is skipped.
import Base
import Foundation
import Testing
import VectorIndex

@Suite struct RealSetTests {
  /// A data set as meta.json describes it: half floats, cosine.
  private struct RealSet {
    let dimension: Int
    let rows: [Float]
    let queries: [[Float]]
    let truth: [[UInt64]]

    init(_ directory: String) throws {
      let text = try String(contentsOfFile: "\(directory)/meta.json", encoding: .utf8)
      let meta = try JSON(parsing: text)
      #expect(meta["dtype"] == "float16" && meta["metric"] == "cosine")
      dimension = Int(try #require(meta["dims"]?.int))
      let truthK = Int(try #require(meta["truth_k"]?.int))
      func file(_ name: String) throws -> Data {
        let path = "\(directory)/\(try #require(meta[name]?.string))"
        return try Data(contentsOf: URL(fileURLWithPath: path))
      }
      rows = Self.floats(try file("base"))
      let flat = Self.floats(try file("query"))
      let width = dimension
      queries = stride(from: 0, to: flat.count, by: width).map { Array(flat[$0..<$0 + width]) }
      let ids = try file("truth").withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
      truth = stride(from: 0, to: ids.count, by: truthK).map { start in
        ids[start..<start + 10].map { UInt64($0) }
      }
    }

    private static func floats(_ data: Data) -> [Float] {
      data.withUnsafeBytes { bytes in
        bytes.bindMemory(to: UInt16.self).map { Float(Float16(bitPattern: $0)) }
      }
    }
  }

  private static let directory = ProcessInfo.processInfo.environment["KFM_TEST_DATA"]

  @Test func theRealSet() throws {
    guard let directory = Self.directory, !directory.isEmpty else {
      return print("RealSetTests: skipped, KFM_TEST_DATA names no data set")
    }
    let set = try RealSet(directory)
    let count = set.rows.count / set.dimension
    let exact = try ExactIndex(dimension: set.dimension, metric: .cosine)
    for row in 0..<count {
      let start = row * set.dimension
      try exact.add(Array(set.rows[start..<start + set.dimension]), id: UInt64(row))
    }
    var shared = 0
    for (query, truth) in zip(set.queries, set.truth).prefix(50) {
      let found = Set(try exact.search(query, k: 10).map(\.id))
      shared += found.intersection(truth).count
    }
    // Ties in the last bit may change places.
    #expect(shared >= 498)
    #if !DEBUG
      try recallOfTheGraph(set, count)
    #endif
  }

  private func recallOfTheGraph(_ set: RealSet, _ count: Int) throws {
    let index = try VectorIndex(
      options: .init(dimension: set.dimension, metric: .cosine, efConstruction: 100))
    let ids = (0..<count).map { UInt64($0) }
    try index.add(rows: set.rows.span, ids: ids.span, threads: 2)
    let probe = RecallProbe(
      index, options: .init(k: 10, ef: 64, sampleEvery: 1, sampleMax: 1_000, runMax: 100))
    var recalls: [Int: Double] = [:]
    for ef in [10, 64, 128] {
      var shared = 0
      for (query, truth) in zip(set.queries, set.truth) {
        shared += Set(try index.search(query, k: 10, ef: ef).map(\.id)).intersection(truth).count
      }
      recalls[ef] = Double(shared) / Double(10 * set.queries.count)
    }
    print("RealSetTests: recall@10 \(recalls.sorted { $0.key < $1.key })")
    #expect(recalls[64]! >= 0.96 && recalls[128]! >= 0.98)
    #expect(recalls[10]! < recalls[64]! && recalls[64]! < recalls[128]!)
    for query in set.queries.prefix(100) { probe.observe(query) }
    try probe.run()
    var shared = 0
    for (query, truth) in zip(set.queries, set.truth).prefix(100) {
      shared += Set(try index.search(query, k: 10, ef: 64).map(\.id)).intersection(truth).count
    }
    #expect(abs(probe.report.recall - Double(shared) / 1_000) <= 0.01)
  }
}
