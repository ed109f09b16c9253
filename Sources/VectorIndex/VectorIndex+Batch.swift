import CVector
import Synchronization

extension VectorIndex {
  /// Many searches in one call: `queries` one after the other, `k` answers each in `results`, on
  /// `threads` threads. `counts[i]` of query i's answers are there.
  ///
  /// Each query gets what a search of its own would get; or nearer rows, where looking at every row
  /// costs less than walking, which among many queries at once it does sooner than for one.
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
    let work = BatchWork(next: next, failure: failure, order: order(room))
    // Few queries for many threads: smaller tiles, so that each has some.
    let share = (room.counts.count + threads - 1) / threads
    let step = max(1, min(Int(CVX_TILE), share))
    NativeThread.concurrently(min(threads, max(1, room.counts.count))) { _ in
      let tile = QueryTile(dimension: self.options.dimension, k: k)
      while true {
        let first = work.next.wrappingAdd(step, ordering: .relaxed).oldValue
        guard first < room.counts.count else { return }
        let queries = work.order[first..<min(first + step, room.counts.count)]
        do throws(VectorIndexError) { try self.searchTile(tile, room, queries, k, ef) } catch {
          work.failure.withLock { $0 = $0 ?? error }
        }
      }
    }
    return work.failure.withLock { $0 }
  }

  /// Queries that the others are gathered around; each costs a product a query, of so many
  /// components that their neighbourhood shows.
  private static let pivots = 16
  private static let orderedBy = 128
  /// Queries from which an order pays.
  private static let orderedFrom = 128
  /// Bytes of codes that stay in a processor's caches whatever is asked.
  private static let nearBytes = 16 << 20

  /// Bytes of the codes that walks go by.
  private var walkedBytes: Int {
    let reader = cvx_reader_enter(readers)!
    defer { cvx_reader_leave(reader) }
    let view = cvx_current(current)!
    let row = cvx_by_nibbles(view) != 0 ? view.pointee.nibble_stride : view.pointee.stride
    return Int(cvx_count(view)) * Int(row)
  }

  /// The queries' numbers, like beside like, so that the rows and edges that one walk brought into
  /// the cache are there for the next.
  private func order(_ room: BatchRoom) -> [Int] {
    let (queries, dimension) = (room.counts.count, options.dimension)
    guard queries >= Self.orderedFrom, walkedBytes > Self.nearBytes,
      let start = room.queries.baseAddress
    else { return Array(0..<queries) }
    var groups = [[Candidate]](repeating: [], count: Self.pivots)
    let step = queries / Self.pivots
    for query in 0..<queries {
      var nearest = (pivot: 0, product: -Float.infinity)
      for pivot in 0..<Self.pivots {
        let product = cvector_dot_f32(
          start + query * dimension, start + pivot * step * dimension,
          min(dimension, Self.orderedBy))
        if product > nearest.product { nearest = (pivot, product) }
      }
      groups[nearest.pivot].append(
        Candidate(distance: -nearest.product, slot: UInt32(truncatingIfNeeded: query)))
    }
    return groups.flatMap { $0.sorted().map { Int($0.slot) } }
  }

  private func searchTile(
    _ tile: QueryTile, _ room: BatchRoom, _ queries: ArraySlice<Int>, _ k: Int, _ ef: Int
  ) throws(VectorIndexError) {
    let dimension = options.dimension
    for (number, query) in queries.enumerated() {
      let vector = UnsafeBufferPointer(
        rebasing: room.queries[query * dimension..<(query + 1) * dimension])
      let status = cvx_check(
        vector.baseAddress!, dimension, Int32(options.metric.rawValue),
        cvx_batch_vector(tile.batch, UInt32(number)))
      try PreparedVector.throwIfBad(status, Span(_unsafeElements: vector))
    }
    let reader = cvx_reader_enter(readers)!
    defer { cvx_reader_leave(reader) }
    let view = cvx_current(current)!
    let count = cvx_count(view)
    // No more than there are rows: room for other answers would be of no use.
    let wanted = min(k, Int(count))
    cvx_find_batch(
      view, tile.batch, reader.pointee.scratch, UInt32(queries.count), UInt32(wanted),
      UInt32(min(max(ef, k), Int(UInt32.max))), count, tile.results, tile.counts)
    for (number, query) in queries.enumerated() {
      room.counts[query] = Int(tile.counts[number])
      for rank in 0..<Int(tile.counts[number]) {
        let answer = tile.results[number * wanted + rank]
        room.results[query * k + rank] = Neighbour(id: answer.id, distance: answer.distance)
      }
    }
  }
}

/// The memory in which one thread answers a tile of queries.
private final class QueryTile {
  let batch: OpaquePointer
  let results: UnsafeMutablePointer<cvx_result>
  let counts: UnsafeMutablePointer<UInt32>

  init(dimension: Int, k: Int) {
    batch = cvx_batch_create(UInt32(dimension))
    results = .allocate(capacity: Int(CVX_TILE) * k)
    counts = .allocate(capacity: Int(CVX_TILE))
  }

  deinit {
    cvx_batch_destroy(batch)
    results.deallocate()
    counts.deallocate()
  }
}

/// What the threads of a batch share.
private final class BatchWork: Sendable {
  let next: Atomic<Int>
  let failure: Mutex<VectorIndexError?>
  /// The numbers of the queries, as they are taken.
  let order: [Int]

  init(
    next: consuming Atomic<Int>, failure: consuming Mutex<VectorIndexError?>, order: [Int]
  ) {
    self.next = next
    self.failure = failure
    self.order = order
  }
}
