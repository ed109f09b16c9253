import CVector
import Synchronization

extension VectorIndex {
  /// Queries a thread takes at once.
  private static let batchStep = 16

  /// Many searches in one call: `queries` one after the other, `k` answers each in `results`, on
  /// `threads` threads. `counts[i]` of query i's answers are there.
  /// - Throws: `.countMismatch` when the rooms do not fit, or what is wrong with a query.
  public func search(
    batch queries: Span<Float>, k: Int, ef: Int = 64, threads: Int = 1,
    into results: inout MutableSpan<Neighbour>, counts: inout MutableSpan<Int>
  ) throws(VectorIndexError) {
    try Self.check("k", k, in: Self.kRange)
    try Self.check("ef", ef, in: Self.efRange)
    try Self.check("threads", threads, in: Self.threadsRange)
    let dimension = options.dimension
    let wanted = counts.count
    guard queries.count == wanted * dimension else {
      throw .countMismatch(
        name: "components of \(wanted) queries", expected: wanted * dimension,
        actual: queries.count)
    }
    guard results.count == wanted * k else {
      throw .countMismatch(name: "results", expected: wanted * k, actual: results.count)
    }
    let failure = queries.withUnsafeBufferPointer { queries in
      results.withUnsafeMutableBufferPointer { results in
        counts.withUnsafeMutableBufferPointer { counts in
          searchAll(
            BatchRoom(queries: queries, results: results, counts: counts), k, ef, threads)
        }
      }
    }
    if let failure { throw failure }
  }

  /// What a batch reads and writes; each query has a part of its own.
  private struct BatchRoom: @unchecked Sendable {
    let queries: UnsafeBufferPointer<Float>
    let results: UnsafeMutableBufferPointer<Neighbour>
    let counts: UnsafeMutableBufferPointer<Int>
  }

  private func searchAll(_ room: BatchRoom, _ k: Int, _ ef: Int, _ threads: Int)
    -> VectorIndexError?
  {
    let next = Atomic<Int>(0)
    let failure = Mutex<VectorIndexError?>(nil)
    let work = BatchWork(next: next, failure: failure)
    NativeThread.concurrently(min(threads, max(1, room.counts.count))) { _ in
      while true {
        let first = work.next.wrappingAdd(Self.batchStep, ordering: .relaxed).oldValue
        guard first < room.counts.count else { return }
        for query in first..<min(first + Self.batchStep, room.counts.count) {
          do throws(VectorIndexError) {
            room.counts[query] = try self.searchOne(room, query, k, ef)
          } catch { work.failure.withLock { $0 = $0 ?? error } }
        }
      }
    }
    return work.failure.withLock { $0 }
  }

  private func searchOne(_ room: BatchRoom, _ query: Int, _ k: Int, _ ef: Int)
    throws(VectorIndexError) -> Int
  {
    let dimension = options.dimension
    let part = UnsafeBufferPointer(
      rebasing: room.queries[query * dimension..<(query + 1) * dimension])
    let out = UnsafeMutableBufferPointer(rebasing: room.results[query * k..<(query + 1) * k])
    var results = MutableSpan(_unsafeElements: out)
    return try search(Span(_unsafeElements: part), ef: ef, into: &results)
  }
}

/// What the threads of a batch share.
private final class BatchWork: Sendable {
  let next: Atomic<Int>
  let failure: Mutex<VectorIndexError?>

  init(next: consuming Atomic<Int>, failure: consuming Mutex<VectorIndexError?>) {
    self.next = next
    self.failure = failure
  }
}
