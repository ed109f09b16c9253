import VectorIndex

/// Queries of a data set against an index: answers in flat arrays, and what they cost.
struct QueryRun {
  struct Result {
    /// k a query, nearest first; −1 and infinity where fewer were found.
    var ids: [Int32]
    var distances: [Float]
    var wallSeconds: Double
    var cpuSeconds: Double
    /// Nanoseconds of each query alone, in order of the queries; empty in a batch.
    var latencies: [Int64]
  }

  let index: VectorIndex
  /// One after the other.
  let queries: [Float]
  let count: Int
  let k: Int
  let ef: Int

  /// One query a call, on this thread.
  /// - Parameter allow: one byte a row, 1 for those that may be returned; the mask is made anew
  ///   for every query, as a caller would who has a new one each time.
  func single(allow: [UInt8]? = nil) throws(VectorIndexError) -> Result {
    let dimension = index.options.dimension
    var found = [Neighbour](repeating: Self.nothing, count: count * k)
    var counts = [Int](repeating: 0, count: count)
    var latencies = [Int64](repeating: 0, count: count)
    var room = [Neighbour](repeating: Self.nothing, count: k)
    var results = room.mutableSpan
    let watch = StopWatch()
    var before = StopWatch.monotonic()
    for query in 0..<count {
      let filter = allow.map { SearchFilter.allowing(IDBitmap(bytes: $0.span)) }
      let answers = try index.search(
        queries.span.extracting(query * dimension..<(query + 1) * dimension), ef: ef,
        filter: filter, into: &results)
      for rank in 0..<answers { found[query * k + rank] = results[rank] }
      counts[query] = answers
      let now = StopWatch.monotonic()
      latencies[query] = now - before
      before = now
    }
    return result(found, counts, watch, latencies)
  }

  /// All queries at once, on `threads` threads.
  func batch(threads: Int) throws(VectorIndexError) -> Result {
    var found = [Neighbour](repeating: Self.nothing, count: count * k)
    var counts = [Int](repeating: 0, count: count)
    let watch = StopWatch()
    var results = found.mutableSpan
    var filled = counts.mutableSpan
    try index.search(
      batch: queries.span.extracting(first: count * index.options.dimension), k: k, ef: ef,
      threads: threads, into: &results, counts: &filled)
    return result(found, counts, watch, [])
  }

  private static let nothing = Neighbour(id: 0, distance: .infinity)

  private func result(
    _ found: [Neighbour], _ counts: [Int], _ watch: StopWatch, _ latencies: [Int64]
  ) -> Result {
    let (wall, cpu) = (watch.wallSeconds, watch.cpuSeconds)
    var result = Result(
      ids: [Int32](repeating: -1, count: count * k),
      distances: [Float](repeating: .infinity, count: count * k), wallSeconds: wall,
      cpuSeconds: cpu, latencies: latencies)
    for query in 0..<count {
      for rank in query * k..<query * k + counts[query] {
        result.ids[rank] = Int32(truncatingIfNeeded: found[rank].id)
        result.distances[rank] = found[rank].distance
      }
    }
    return result
  }
}

extension QueryRun.Result {
  /// The latency below which `share` of the queries stayed, in microseconds.
  func latency(_ share: Double) -> Double {
    guard !latencies.isEmpty else { return 0 }
    let sorted = latencies.sorted()
    let rank = min(sorted.count - 1, Int(Double(sorted.count) * share))
    return Double(sorted[rank]) / 1e3
  }
}
