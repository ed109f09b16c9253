import Base
import VectorIndex

/// Recall and rate of an index for several `ef`, against exact search over the same rows.
struct VectorEvaluation {
  struct Point {
    var ef: Int
    var recall: Double
    /// Queries a second of CPU time.
    var rate: Double
    var p50Microseconds: Double
    var p99Microseconds: Double
  }

  let index: VectorIndex
  let queries: [Float]
  let k: Int

  private var count: Int { queries.count / index.options.dimension }

  /// The ids of the k nearest of every query, by looking at every row.
  func truth(_ exact: ExactIndex, _ progress: Progress) throws(VectorIndexError) -> [Set<UInt64>] {
    var truth: [Set<UInt64>] = []
    let dimension = index.options.dimension
    for query in 0..<count {
      let vector = Array(queries[query * dimension..<(query + 1) * dimension])
      truth.append(Set(try exact.search(vector, k: k).map(\.id)))
      progress.report(query, of: count)
    }
    return truth
  }

  func point(ef: Int, _ truth: [Set<UInt64>]) throws(VectorIndexError) -> Point {
    let run = QueryRun(index: index, queries: queries, count: count, k: k, ef: ef)
    let result = try run.single()
    var shared = 0, wanted = 0
    for (query, truth) in truth.enumerated() {
      wanted += truth.count
      shared += result.ids[query * k..<(query + 1) * k].count {
        $0 >= 0 && truth.contains(UInt64($0))
      }
    }
    return Point(
      ef: ef, recall: wanted == 0 ? 1 : Double(shared) / Double(wanted),
      rate: Double(count) / max(result.cpuSeconds, 1e-9), p50Microseconds: result.latency(0.5),
      p99Microseconds: result.latency(0.99))
  }

  static func write(_ points: [Point], k: Int, isJSON: Bool, to output: OutputWriter) {
    if isJSON {
      for point in points { output.line(point.json(k: k).text) }
      return
    }
    var table = TextTable([
      .init("ef", .right), .init("recall@\(k)", .right), .init("queries/CPU s", .right),
      .init("p50", .right), .init("p99", .right),
    ])
    for point in points {
      table.add([
        "\(point.ef)", Quantity.fixed(point.recall, places: 4),
        Quantity.fixed(point.rate, places: 0),
        "\(Quantity.fixed(point.p50Microseconds, places: 1)) us",
        "\(Quantity.fixed(point.p99Microseconds, places: 1)) us",
      ])
    }
    table.write(to: output)
  }
}

extension VectorEvaluation.Point {
  fileprivate func json(k: Int) -> JSON {
    [
      "ef": .int(Int64(ef)), "k": .int(Int64(k)), "recall": .double(recall),
      "queries_per_cpu_s": .double(rate), "p50_us": .double(p50Microseconds),
      "p99_us": .double(p99Microseconds),
    ]
  }
}
