/// A few threads for work that blocks (name look-up, file formats, compression), so that no loop
/// does. The queue is bounded: a full one refuses, and the caller decides what to give up.
package final class SideThreads: Sendable {
  /// The queue is full; try again when something has completed.
  package struct QueueFull: Error, Sendable, CustomStringConvertible {
    package let limit: Int
    package var description: String { "\(limit) pieces of blocking work wait already" }
  }

  private let queue: WorkQueue

  /// - Parameters:
  ///   - threads: at most; those beyond `started` come when there is work that no other is free for.
  ///   - queueMax: bounds what waits, not what runs.
  package init(threads: Int = 2, started: Int? = nil, queueMax: Int = 256) {
    queue = WorkQueue(limit: queueMax, threadsMax: threads)
    for _ in 0..<(started ?? threads) { queue.startThread() }
  }

  deinit { queue.close() }

  /// Runs `work` on one of the threads, then `completion` with its result on `loop`, from which
  /// this must be called. If the loop has closed meanwhile, the completion is dropped.
  package func run<T: Sendable>(
    _ work: @escaping @Sendable () -> T, on loop: EventLoop,
    completion: @escaping (T) -> Void
  ) throws(QueueFull) {
    let handle = loop.handle
    let outcome = Outcome<T>()
    let parked = loop.park { completion(outcome.take()) }
    let accepted = queue.add {
      outcome.set(work())
      handle.post { loop in loop.unpark(parked)?() }
    }
    if !accepted {
      _ = loop.unpark(parked)
      throw QueueFull(limit: queue.limit)
    }
  }

  /// What waits now.
  package var queued: Int { queue.count }
}

/// What a side thread made, on its way to the loop. The completion itself never leaves the loop: it
/// may own parts of it, and the thread that drops the last reference ends them.
private final class Outcome<Value: Sendable>: Sendable {
  private let value = Locked<Value?>(nil)

  func set(_ made: Value) { value.withLock { $0 = made } }

  /// To be called once, after `set`.
  func take() -> Value { value.withLock { $0.take() }! }
}

/// The queue between loops and side threads.
private final class WorkQueue: Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var isClosed = false
    var threads = 0
    /// Of the threads, how many work.
    var busy = 0
  }

  private enum Turn {
    case work(@Sendable () -> Void)
    case end
  }

  let limit: Int
  private let threadsMax: Int
  private let state = Locked(State())

  init(limit: Int, threadsMax: Int) {
    self.limit = limit
    self.threadsMax = threadsMax
  }

  var count: Int { state.withLock { $0.waiting.count } }

  /// False when it is full.
  func add(_ work: @escaping @Sendable () -> Void) -> Bool {
    let (accepted, needsThread) = state.withLock { state in
      guard state.waiting.count < limit else { return (false, false) }
      state.waiting.append(work)
      let free = state.threads - state.busy
      return (true, free < state.waiting.count && (1..<threadsMax).contains(state.threads))
    }
    guard accepted else { return false }
    // Where the system gives no more, those that are there do it.
    if needsThread { _ = tryThread() }
    state.notifyOne()
    return true
  }

  /// The threads end after what they are doing; what waits is dropped.
  func close() {
    state.withLock { state in
      state.waiting = []
      state.isClosed = true
    }
    state.notifyAll()
  }

  func startThread() {
    precondition(tryThread(), "no thread could be started: raise the limit (ulimit -u, pids.max)")
  }

  private func tryThread() -> Bool {
    state.withLock { $0.threads += 1 }
    if startDetachedThread(self, { $0.runThread() }) { return true }
    state.withLock { $0.threads -= 1 }
    return false
  }

  private func runThread() {
    while case .work(let work) = state.wait(Self.take) {
      work()
      state.withLock { $0.busy -= 1 }
    }
  }

  private static func take(_ state: inout State) -> Turn? {
    if state.isClosed { return .end }
    guard !state.waiting.isEmpty else { return nil }
    state.busy += 1
    return .work(state.waiting.removeFirst())
  }
}
