import Glibc
import Synchronization
import VectorIndex

/// One thread searches, one query a call, while another adds rows one by one; or one adds alone.
struct MixedRun: Sendable {
  struct Result: Sendable {
    /// Nanoseconds of single queries before anything was added, and meanwhile; sorted.
    var idle: [Int64]
    var busy: [Int64]
    /// Nanoseconds of each addition; sorted.
    var additions: [Int64]
    var longest: LongestAddition
  }

  /// What the longest addition spent its time on, in nanoseconds. What is neither `cpu` nor
  /// `preempted` it waited for something.
  struct LongestAddition: Sendable {
    var wall: Int64 = 0
    var cpu: Int64 = 0
    /// It could have run, and the processors ran others.
    var preempted: Int64 = 0
    /// The most processor time of any addition.
    var mostCPU: Int64 = 0

    mutating func note(wall: Int64, cpu: Int64, preempted: Int64) {
      mostCPU = max(mostCPU, cpu)
      guard wall > self.wall else { return }
      (self.wall, self.cpu, self.preempted) = (wall, cpu, preempted)
    }
  }

  let index: VectorIndex
  /// Where the rows are that are added one after the other, under their numbers. They are read a
  /// few at a time: all of them would take more memory than the index.
  let data: RowFile
  let rows: Range<Int>
  let queries: [Float]
  let k: Int
  let ef: Int
  /// Whether a thread searches meanwhile.
  let isSearched: Bool

  func run() throws -> Result {
    guard isSearched else {
      let (additions, longest) = try add().get()
      return Result(idle: [], busy: [], additions: additions.sorted(), longest: longest)
    }
    let idle = try search { false }
    let progress = Writing()
    let thread = Thread { progress.finish(add()) }
    var busy: [Int64] = []
    do {
      while !progress.isDone { busy += try search { progress.isDone } }
    } catch {
      thread.join()
      throw error
    }
    thread.join()
    let (additions, longest) = try progress.result().get()
    return Result(
      idle: idle.sorted(), busy: busy.sorted(), additions: additions.sorted(),
      longest: longest)
  }

  private typealias Additions = Swift.Result<(times: [Int64], longest: LongestAddition), any Error>

  private func add() -> Additions {
    let dimension = index.options.dimension
    let delay = RunDelay()
    var longest = LongestAddition()
    var times: [Int64] = []
    times.reserveCapacity(rows.count)
    do {
      for first in stride(from: rows.lowerBound, to: rows.upperBound, by: BenchedIndex.rowsAtOnce) {
        let part = first..<min(first + BenchedIndex.rowsAtOnce, rows.upperBound)
        let floats = try data.floats(part)
        for row in part {
          let at = (row - first) * dimension
          let (waited, cpu, began) = (
            delay.nanoseconds(), StopWatch.threadCPU(), StopWatch.monotonic()
          )
          try index.add(floats.span.extracting(at..<at + dimension), id: UInt64(row))
          times.append(StopWatch.monotonic() - began)
          longest.note(
            wall: times[times.count - 1], cpu: StopWatch.threadCPU() - cpu,
            preempted: delay.nanoseconds() - waited)
        }
      }
      return .success((times, longest))
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
    private let outcome = Mutex<Additions>(.success(([], LongestAddition())))

    var isDone: Bool { done.load(ordering: .acquiring) }

    func finish(_ result: Additions) {
      outcome.withLock { $0 = result }
      done.store(true, ordering: .releasing)
    }

    func result() -> Additions { outcome.withLock { $0 } }
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
