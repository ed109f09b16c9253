import Glibc
import Synchronization
import VectorIndex

/// One thread searches, one query a call, while another adds rows one by one.
struct MixedRun: Sendable {
  struct Result: Sendable {
    /// Nanoseconds of single queries before anything was added, and meanwhile; sorted.
    var idle: [Int64]
    var busy: [Int64]
    /// Nanoseconds of each addition; sorted.
    var additions: [Int64]
  }

  let index: VectorIndex
  /// Rows to add, one after the other, under `ids`.
  let rows: [Float]
  let ids: [UInt64]
  let queries: [Float]
  let k: Int
  let ef: Int

  func run() throws(VectorIndexError) -> Result {
    let idle = try search { false }
    let progress = Writing()
    let thread = Thread { progress.finish(add()) }
    var busy: [Int64] = []
    do throws(VectorIndexError) {
      while !progress.isDone { busy += try search { progress.isDone } }
    } catch {
      thread.join()
      throw error
    }
    thread.join()
    let additions = try progress.result().get()
    return Result(idle: idle.sorted(), busy: busy.sorted(), additions: additions.sorted())
  }

  private func add() -> Swift.Result<[Int64], VectorIndexError> {
    let dimension = index.options.dimension
    var times: [Int64] = []
    times.reserveCapacity(ids.count)
    do throws(VectorIndexError) {
      for (row, id) in ids.enumerated() {
        let began = StopWatch.monotonic()
        try index.add(rows.span.extracting(row * dimension..<(row + 1) * dimension), id: id)
        times.append(StopWatch.monotonic() - began)
      }
      return .success(times)
    } catch { return .failure(error) }
  }

  /// All queries once, or until `stops`; nanoseconds of each.
  private func search(until stops: () -> Bool) throws(VectorIndexError) -> [Int64] {
    let dimension = index.options.dimension
    var room = [Neighbour](repeating: Neighbour(id: 0, distance: 0), count: k)
    var results = room.mutableSpan
    var times: [Int64] = []
    for query in 0..<queries.count / dimension where !stops() {
      let began = StopWatch.monotonic()
      _ = try index.search(
        queries.span.extracting(query * dimension..<(query + 1) * dimension), ef: ef,
        into: &results)
      times.append(StopWatch.monotonic() - began)
    }
    return times
  }

  private final class Writing: Sendable {
    private let done = Atomic<Bool>(false)
    private let outcome = Mutex<Swift.Result<[Int64], VectorIndexError>>(.success([]))

    var isDone: Bool { done.load(ordering: .acquiring) }

    func finish(_ result: Swift.Result<[Int64], VectorIndexError>) {
      outcome.withLock { $0 = result }
      done.store(true, ordering: .releasing)
    }

    func result() -> Swift.Result<[Int64], VectorIndexError> { outcome.withLock { $0 } }
  }
}

/// A POSIX thread that is waited for; the body runs on the caller's where none can be had.
private final class Thread {
  private var handle: pthread_t?

  init(_ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(Box(body))
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, box.toOpaque())
    if result == 0 {
      handle = thread
    } else {
      box.takeRetainedValue().body()
    }
  }

  func join() {
    if let handle { pthread_join(handle, nil) }
    handle = nil
  }

  private final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
