package import Base
import CURing
import Glibc

/// One thread's event loop over one io_uring: sockets, files, timers, descriptors, posts from
/// other threads. Made, run and closed on one thread; all callbacks run there. Drain, then act:
/// a turn submits and reaps with one system call, moves all completions out, then acts on them.
package final class EventLoop: TimerService {
  package let clock: any Clock
  package let handle: EventLoopHandle
  package let statistics: RingStatistics
  /// What this kernel made possible.
  package var mode: RingMode { ring.mode }

  let ring: Ring
  let receiveBuffers: ReceiveBuffers?
  private var operations = OperationTable()
  private let timers = TimerHeap()
  private var enqueued: [() -> Void] = []
  private var runningEnqueued: [() -> Void] = []
  private var posts: [Post] = []
  private var hooks: [() -> Void] = []
  private var unsent: [Socket] = []
  private var parked: [UInt64: () -> Void] = [:]
  private var parkedEver: UInt64 = 0
  private var isStopped = false
  private var isRunning = false
  private var wakeWatch: WakeWatch?
  private(set) lazy var executor = LoopTaskExecutor(mailbox: handle.mailbox)
  private(set) lazy var actorExecutor = LoopSerialExecutor(
    mailbox: handle.mailbox, taskExecutor: executor)

  /// Rounds of posts and enqueued work in one turn, before the ring gets its turn again.
  private static let roundsMax = 16

  /// To be called on the thread that will run the loop.
  package init(
    options: EventLoopOptions = EventLoopOptions(), clock: any Clock = SystemClock()
  ) throws(RingFailure) {
    let statistics = RingStatistics()
    self.clock = clock
    self.statistics = statistics
    ring = try Ring(options: options, statistics: statistics)
    handle = EventLoopHandle(mailbox: try Mailbox(wakeups: statistics.wakeups))
    receiveBuffers = ReceiveBuffers(
      ring: ring.pointer, count: options.receiveBuffers, bufferBytes: options.receiveBufferBytes)
    let watch = WakeWatch(loop: self, descriptor: handle.mailbox.descriptor)
    wakeWatch = watch
    watch.arm()
  }

  deinit { close() }

  /// Runs until `stop()`. May be called again afterwards.
  package func run() {
    while !isStopped { turn { nil } }
    isStopped = false
    // What the last callbacks asked for still goes out.
    settle()
    ring.enter(waiting: .zero)
  }

  /// Runs until `condition` holds, looked at in every turn, or `deadline` (from now) has passed,
  /// or `stop()`. Returns whether it holds.
  package func runUntil(_ condition: () -> Bool, deadline: Nanoseconds) -> Bool {
    let end = clock.monotonic() + deadline
    while !condition() {
      let left = end - clock.monotonic()
      guard left > .zero, !isStopped else {
        isStopped = false
        return false
      }
      // Posts and enqueued work may have met it: then this turn must not sleep.
      turn { condition() ? .zero : left }
    }
    return true
  }

  /// One turn; does not wait for anything.
  package func runOnce() { turn { .zero } }

  /// Makes `run()` return after this turn.
  package func stop() { isStopped = true }

  /// Runs `body` after the completions at hand have been acted on, before the loop sleeps.
  package func enqueue(_ body: @escaping () -> Void) { enqueued.append(body) }

  /// Calls `body` once in every turn, after all its callbacks, before what they asked for is
  /// submitted: the place to turn the work of many callbacks into one operation.
  package func beforeSleep(_ body: @escaping () -> Void) { hooks.append(body) }

  @discardableResult
  package func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void)
    -> any Cancellable
  {
    let now = clock.monotonic()
    let longest = Nanoseconds(.max) - now
    return timers.add(deadline: now + min(delay, longest), body)
  }

  /// Ends the loop: operations in flight are given up, their callbacks never run, descriptors of
  /// sockets and listeners close, posts are refused. Returns when the kernel is done with all
  /// buffers. Called on the loop's thread, not from a callback.
  package func close() {
    guard ring.isOpen else { return }
    precondition(!isRunning, "a callback may not close its loop; it can stop it")
    handle.mailbox.close()
    timers.removeAll()
    cancelEverything()
    ring.close()
    enqueued = []
    hooks = []
    unsent = []
    wakeWatch = nil
    parked = [:]
    for client in operations.takeAll() { client.abandoned() }
  }
}

// MARK: - For the operations

extension EventLoop {
  var isOpen: Bool { ring.isOpen }

  /// Queues an operation of `client`, submitted with the rest of this turn. `prepare` fills the
  /// entry; what it points at must live until the operation's last completion.
  @discardableResult
  func submit(
    _ client: any RingClient, _ operation: Operation, _ prepare: (Ring.Entry) -> Void
  ) -> OperationID {
    guard ring.isOpen else { return .none }
    let entry = ring.entry()
    prepare(entry)
    let id = operations.insert(client, operation)
    entry.pointee.user_data = id.raw
    return id
  }

  /// Asks the kernel to end an operation; its owner still gets the last completion.
  func cancel(_ id: OperationID) {
    guard ring.isOpen, id != .none else { return }
    let entry = ring.entry()
    io_uring_prep_cancel64(entry, id.raw, 0)
    entry.pointee.user_data = OperationID.none.raw
  }

  /// Keeps a callback for another thread, which names it by the key: so it is run, and released,
  /// here and nowhere else. Those nobody came back for go when the loop closes.
  func park(_ body: @escaping () -> Void) -> UInt64 {
    parkedEver += 1
    parked[parkedEver] = body
    return parkedEver
  }

  /// Takes a parked callback out; nil when it is out already.
  func unpark(_ key: UInt64) -> (() -> Void)? { parked.removeValue(forKey: key) }

  /// Lets `socket` send at the end of the turn what its callbacks queued meanwhile.
  func sendLater(_ socket: Socket) { unsent.append(socket) }

  /// For two operations, the first of which is linked to the second: the kernel takes a link only
  /// within one submission.
  func submitLinked(_ body: () -> Void) {
    guard ring.isOpen else { return }
    ring.reserve(2)
    body()
  }
}

// MARK: - The turn

extension EventLoop {
  /// `limit` says how long this turn may sleep at most, nil without limit.
  private func turn(limit: () -> Nanoseconds?) {
    precondition(!isRunning, "the loop was run from one of its own callbacks")
    precondition(handle.isCurrent, "the loop was run on a thread that is not its own")
    isRunning = true
    defer { isRunning = false }
    settle()
    ring.enter(waiting: waitTime(limit: limit()))
    handle.mailbox.endSleep()
    ring.forEachCompletion { complete($0) }
    runTimers()
  }

  /// Runs posts and enqueued work, then the hooks, then hands queued bytes to the ring.
  private func settle() {
    for _ in 0..<Self.roundsMax {
      guard runPosts() || !enqueued.isEmpty else { break }
      runEnqueued()
    }
    for hook in hooks { hook() }
    while let socket = unsent.popLast() { socket.sendQueued() }
  }

  /// How long the loop may sleep: nil without limit.
  private func waitTime(limit: Nanoseconds?) -> Nanoseconds? {
    guard !isStopped, enqueued.isEmpty, handle.mailbox.beginSleep() else { return .zero }
    guard let timer = timers.earliest else { return limit }
    let left = max(.zero, timer.deadline - clock.monotonic())
    return min(left, limit ?? left)
  }

  private func complete(_ completion: kfm_completion) {
    guard completion.user_data != OperationID.none.raw else { return }
    let last = completion.flags & UInt32(IORING_CQE_F_MORE) == 0
    guard let (client, operation) = operations.take(completion.user_data, last: last) else {
      statistics.staleCompletions.add()
      return
    }
    client.completed(operation, result: completion.result, flags: completion.flags)
  }

  private func runTimers() {
    guard timers.count > 0 else { return }
    let now = clock.monotonic()
    let limit = timers.nextSequence
    while let timer = timers.popDue(now: now, before: limit) {
      let body = timer.body
      timer.cancel()
      body?()
    }
  }

  private func runEnqueued() {
    swap(&enqueued, &runningEnqueued)
    for body in runningEnqueued { body() }
    runningEnqueued.removeAll(keepingCapacity: runningEnqueued.count <= 1_024)
  }

  /// Returns whether there was any.
  private func runPosts() -> Bool {
    handle.mailbox.take(&posts)
    guard !posts.isEmpty else { return false }
    for post in posts {
      switch post {
      case .body(let body): body(self)
      case .taskJob(let job): job.runSynchronously(on: executor.asUnownedTaskExecutor())
      case .actorJob(let job):
        job.runSynchronously(
          isolatedTo: actorExecutor.asUnownedSerialExecutor(),
          taskExecutor: executor.asUnownedTaskExecutor())
      }
    }
    posts.removeAll(keepingCapacity: posts.count <= 1_024)
    return true
  }

  /// Cancels all operations and waits until the kernel has let go of their buffers.
  private func cancelEverything() {
    let entry = ring.entry()
    io_uring_prep_cancel64(
      entry, 0, Int32(IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL))
    entry.pointee.user_data = OperationID.none.raw
    let end = clock.monotonic() + Self.closeWaitMax
    var held: [any RingClient] = []
    while operations.count > 0, clock.monotonic() < end {
      ring.enter(waiting: .milliseconds(10))
      ring.forEachCompletion { completion in
        let last = completion.flags & UInt32(IORING_CQE_F_MORE) == 0
        if let (client, _) = operations.take(completion.user_data, last: last), last {
          held.append(client)
        }
      }
    }
    for client in held { client.abandoned() }
  }

  /// A write on a stuck disk cannot be cancelled; the process must be able to end all the same.
  private static let closeWaitMax = Nanoseconds.seconds(2)
}

/// Watches the eventfd other threads write to. Edge-triggered: every write completes it once, and
/// the count is never read.
private final class WakeWatch: RingClient {
  private unowned let loop: EventLoop
  private let descriptor: Int32

  init(loop: EventLoop, descriptor: Int32) {
    self.loop = loop
    self.descriptor = descriptor
  }

  func arm() {
    loop.submit(self, .poll) { entry in
      io_uring_prep_poll_multishot(entry, descriptor, UInt32(POLLIN))
    }
  }

  func completed(_ operation: Operation, result: Int32, flags: UInt32) {
    // A full completion queue ends a multishot operation.
    if flags & UInt32(IORING_CQE_F_MORE) == 0 { arm() }
  }

  func abandoned() {}
}
