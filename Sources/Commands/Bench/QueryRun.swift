import Glibc
import Synchronization
import VectorIndex

/// Queries of a data set against an index: answers in flat arrays, and what they cost.
struct QueryRun: Sendable {
  struct Result {
    /// k a query, nearest first; −1 and infinity where fewer were found.
    var ids: [Int32]
    var distances: [Float]
    var wallSeconds: Double
    var cpuSeconds: Double
    /// Of each query alone, in order of the queries; empty in a batch.
    var latencies: [Int64]
  }

  let index: BenchedIndex
  let queries: [[Float]]
  let k: Int
  let ef: Int

  /// One query a call, on this thread.
  /// - Parameter allow: one byte a row, 1 for those that may be returned; the mask is made anew
  ///   for every query, as a caller would who has a new one each time.
  func single(allow: [UInt8]? = nil) throws(VectorIndexError) -> Result {
    let answers = AnswerBuffer(queries: queries.count, k: k)
    var latencies = [Int64](repeating: 0, count: queries.count)
    let watch = StopWatch()
    var before = StopWatch.monotonic()
    for number in queries.indices {
      try answer(number, allow: allow, into: answers)
      let now = StopWatch.monotonic()
      latencies[number] = now - before
      before = now
    }
    return result(answers, watch, latencies)
  }

  /// All queries at once, on `threads` threads.
  func batch(threads: Int) throws(VectorIndexError) -> Result {
    let answers = AnswerBuffer(queries: queries.count, k: k)
    let failure = Mutex<VectorIndexError?>(nil)
    let watch = StopWatch()
    WorkerThreads.run(threads) { part in
      do throws(VectorIndexError) {
        for number in WorkerThreads.share(part, of: threads, count: queries.count) {
          try answer(number, allow: nil, into: answers)
        }
      } catch {
        failure.withLock { $0 = error }
      }
    }
    let result = result(answers, watch, [])
    if let failure = failure.withLock({ $0 }) { throw failure }
    return result
  }

  private func answer(_ number: Int, allow: [UInt8]?, into answers: AnswerBuffer)
    throws(VectorIndexError)
  {
    let found: [Neighbour]
    if let allow {
      found = try index.index.search(
        queries[number], k: k, ef: ef, filter: .allowing(IDBitmap(bytes: allow.span)))
    } else {
      found = try index.index.search(queries[number], k: k, ef: ef)
    }
    for (rank, neighbour) in found.enumerated() {
      answers.ids[number * k + rank] = Int32(truncatingIfNeeded: neighbour.id)
      answers.distances[number * k + rank] = neighbour.distance
    }
  }

  private func result(_ answers: AnswerBuffer, _ watch: StopWatch, _ latencies: [Int64]) -> Result {
    let (wall, cpu) = (watch.wallSeconds, watch.cpuSeconds)
    return Result(
      ids: Array(answers.ids), distances: Array(answers.distances), wallSeconds: wall,
      cpuSeconds: cpu, latencies: latencies)
  }
}

/// Room for the answers of all queries; threads write to parts of their own.
private final class AnswerBuffer: @unchecked Sendable {
  // Sendable because no two threads are given the same query.
  let ids: UnsafeMutableBufferPointer<Int32>
  let distances: UnsafeMutableBufferPointer<Float>

  init(queries: Int, k: Int) {
    ids = .allocate(capacity: queries * k)
    ids.initialize(repeating: -1)
    distances = .allocate(capacity: queries * k)
    distances.initialize(repeating: .infinity)
  }

  deinit {
    ids.deallocate()
    distances.deallocate()
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
