import Glibc

/// A few threads for work that blocks (name look-up, file formats, compression), so that no loop
/// does. The queue is bounded: a full one refuses, and the caller decides what to give up.
package final class SideThreads: Sendable {
  /// The queue is full; try again when something has completed.
  package struct QueueFull: Error, Sendable, CustomStringConvertible {
    package let limit: Int
    package var description: String { "\(limit) pieces of blocking work wait already" }
  }

  private let queue: WorkQueue

  /// `queueMax` bounds what waits, not what runs.
  package init(threads: Int = 2, queueMax: Int = 256) {
    queue = WorkQueue(limit: queueMax)
    for _ in 0..<threads { queue.startThread() }
  }

  deinit { queue.close() }

  /// Runs `work` on one of the threads, then `completion` with its result on `loop`, from which
  /// this must be called. If the loop has closed meanwhile, the completion is dropped.
  package func run<T: Sendable>(
    _ work: @escaping @Sendable () -> T, on loop: EventLoop,
    completion: @escaping (T) -> Void
  ) throws(QueueFull) {
    let handle = loop.handle
    let parked = LoopConfined(completion)
    let accepted = queue.add {
      let result = work()
      handle.post { _ in parked.take()(result) }
    }
    if !accepted { throw QueueFull(limit: queue.limit) }
  }

  /// What waits now.
  package var queued: Int { queue.count }
}

/// Carries a value of the loop past another thread and back.
// Sendable because only the loop's thread looks inside. It takes the value out there, so the last
// reference to the empty box may go anywhere.
final class LoopConfined<Value>: @unchecked Sendable {
  private var value: Value?

  init(_ value: Value) { self.value = value }

  func take() -> Value {
    defer { value = nil }
    return value!
  }
}

/// The queue between loops and side threads.
// Sendable because `mutex` guards all that changes.
private final class WorkQueue: @unchecked Sendable {
  let limit: Int
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let filled: UnsafeMutablePointer<pthread_cond_t>
  private var waiting: [@Sendable () -> Void] = []
  private var next = 0
  private var isClosed = false

  init(limit: Int) {
    self.limit = limit
    mutex = .allocate(capacity: 1)
    filled = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(filled, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(filled)
    mutex.deallocate()
    filled.deallocate()
  }

  var count: Int {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return waiting.count - next
  }

  func add(_ work: @escaping @Sendable () -> Void) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard waiting.count - next < limit else { return false }
    waiting.append(work)
    pthread_cond_signal(filled)
    return true
  }

  /// The threads end after what they are doing; what waits is dropped.
  func close() {
    pthread_mutex_lock(mutex)
    isClosed = true
    waiting = []
    next = 0
    pthread_cond_broadcast(filled)
    pthread_mutex_unlock(mutex)
  }

  func startThread() {
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let queue = Unmanaged.passRetained(self).toOpaque()
    let result = pthread_create(
      &thread, &attributes,
      { argument in
        var signals = sigset_t()
        sigfillset(&signals)
        // Signals are for the loop: see EventLoop.signals.
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let queue = Unmanaged<WorkQueue>.fromOpaque(argument!).takeRetainedValue()
        while let work = queue.take() { work() }
        return nil
      }, queue)
    pthread_attr_destroy(&attributes)
    precondition(result == 0, "no thread could be started: \(errorText(result))")
  }

  /// Waits for work; nil when the pool has closed.
  private func take() -> (@Sendable () -> Void)? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while next == waiting.count, !isClosed { pthread_cond_wait(filled, mutex) }
    guard next < waiting.count else { return nil }
    let work = waiting[next]
    next += 1
    if next == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      next = 0
    }
    return work
  }
}
