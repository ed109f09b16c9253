package import Base
import CURing
import Glibc

/// One thread's event loop over one io_uring or epoll: sockets, files, timers, descriptors, posts
/// from other threads. Made, run and closed on one thread; all callbacks run there. Drain, then act:
/// a turn submits and reaps with one system call, moves all completions out, then acts on them.
package final class EventLoop: TimerService {
  package let clock: any Clock
  package let handle: EventLoopHandle
  package let statistics: RingStatistics
  /// Which way of input and output it uses.
  package var io: IOKind { backend.kind }
  /// Why it is not io_uring although that was preferred.
  package let fallback: RingFailure?
  /// How this kernel completes operations of the ring; nil without one.
  package var mode: RingMode? {
    if case .ring(let ring) = backend { ring.mode } else { nil }
  }

  let backend: Backend
  let receiveBuffers: ReceiveBuffers?
  /// Memory of what sockets receive and send.
  package let blocks: LoopBlocks
  private var operations = OperationTable()
  private let timers: TimerWheel
  private var watchdog: Watchdog
  private var enqueued: [() -> Void] = []
  private var runningEnqueued: [() -> Void] = []
  private var posts: [Post] = []
  private var jobs: [UnownedJob] = []
  private var hooks: [() -> Void] = []
  private var unsent: [Socket] = []
  private var parked: [UInt64: () -> Void] = [:]
  private var parkedEver: UInt64 = 0
  /// Turns so far, the one that runs included.
  private(set) var turns: UInt64 = 0
  private var isStopped = false
  private var isRunning = false
  private var wakeWatch: WakeWatch?
  private(set) lazy var executor = LoopTaskExecutor(
    mailbox: handle.mailbox, foreignEnqueues: statistics.foreignEnqueues)
  private(set) lazy var actorExecutor = LoopSerialExecutor(
    mailbox: handle.mailbox, taskExecutor: executor)

  /// A callback that runs longer is reported: everything else on the loop waits for it.
  package static let stallMin = Nanoseconds.milliseconds(50)

  /// Completions acted on before timers that have become due are run.
  private static let completionsBetweenTimers = 64

  /// Rounds of posts and enqueued work in one turn, before the ring gets its turn again.
  private static let roundsMax = 32

  /// To be called on the thread that will run the loop.
  package init(
    options: EventLoopOptions = EventLoopOptions(), clock: any Clock = SystemClock()
  ) throws(RingFailure) {
    let statistics = RingStatistics()
    self.clock = clock
    self.statistics = statistics
    timers = TimerWheel(now: clock.monotonic())
    watchdog = Watchdog(stalls: statistics.stalls)
    handle = EventLoopHandle(mailbox: try Mailbox(wakeups: statistics.wakeups))
    (backend, fallback) = try Backend.make(options, handle.mailbox, statistics)
    blocks = LoopBlocks(
      largeBytes: options.receiveBufferBytes, sparesMax: 2 * options.receiveBuffers,
      receivedBytes: backend.kind == .epoll ? options.readinessBufferBytes : nil)
    receiveBuffers = backend.makeReceiveBuffers(options, blocks)
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
    backend.enter(waiting: .zero)
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

  /// Operations whose last completion is still to come, the loop's own watch for wake-ups included.
  package var operationsInFlight: Int { operations.count }

  /// Lets the kernel keep the pages of `memory` at hand: files are then written from there with less
  /// work. Returns whether it does; it makes no other difference. Until `unregister`, which comes
  /// before the memory goes.
  package func register(_ memory: UnsafeRawBufferPointer) -> Bool {
    if case .ring(let ring) = backend { ring.register(memory) } else { false }
  }

  package func unregister(_ memory: UnsafeRawBufferPointer) {
    if case .ring(let ring) = backend { ring.unregister(memory) }
  }

  /// Calls `body`, at most once a second, with a callback that held the loop for `stallMin` or
  /// longer; all of them are counted in `statistics.stalls`.
  package func onStall(_ body: @escaping (Stall) -> Void) { watchdog.report = body }

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
    guard backend.isOpen else { return }
    precondition(!isRunning, "a callback may not close its loop; it can stop it")
    handle.mailbox.close()
    executor.close()
    timers.removeAll()
    cancelEverything()
    backend.close()
    enqueued = []
    hooks = []
    unsent = []
    wakeWatch = nil
    parked = [:]
    for client in operations.takeAll() {
      client.abandoned()
      // The kernel or a thread may still use its buffers: they must never be given out again.
      _ = Unmanaged.passRetained(client as AnyObject)
    }
  }
}

// MARK: - For the operations

extension EventLoop {
  var isOpen: Bool { backend.isOpen }

  /// Queues an operation of `client`, submitted with the rest of this turn. A `linked` one is
  /// followed by the next, which runs only after the whole of it: see `submitLinked`.
  @discardableResult
  func submit(
    _ client: any RingClient, _ request: Request, linked: Bool = false
  ) -> OperationID {
    guard isOpen else { return .none }
    let id = operations.insert(client, request.operation)
    backend.submit(request, id, linked: linked)
    return id
  }

  /// Asks the kernel to end an operation; its owner still gets the last completion.
  func cancel(_ id: OperationID) {
    guard isOpen, id != .none else { return }
    backend.cancel(id)
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
    guard isOpen else { return }
    backend.reserve(2)
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
    turns &+= 1
    defer { isRunning = false }
    watchdog.begin()
    settle()
    backend.enter(waiting: waitTime(limit: limit()))
    handle.mailbox.endSleep()
    watchdog.begin()
    var untilTimers = Self.completionsBetweenTimers
    backend.forEachCompletion { completion in
      complete(completion)
      untilTimers -= 1
      if untilTimers == 0 {
        untilTimers = Self.completionsBetweenTimers
        runTimers()
      }
    }
    runTimers()
  }

  /// Runs posts and enqueued work, then the hooks, then hands queued bytes to the backend.
  private func settle() {
    runRounds()
    // A lone sender makes the system call itself: as an entry its completion would only end the
    // wait that follows at once, and cost a second one. One try a turn, or a peer that reads as
    // fast as we write would hold up all others.
    if unsent.count == 1, let socket = unsent.popLast() {
      socket.sendNow()
      watchdog.ended("drained of Socket")
      runRounds()
    }
    for hook in hooks {
      hook()
      watchdog.ended("hook")
    }
    while let socket = unsent.popLast() { socket.sendQueued() }
  }

  private func runRounds() {
    for _ in 0..<Self.roundsMax {
      let hasRun = runPosts()
      guard runJobs() || hasRun || !enqueued.isEmpty else { break }
      runEnqueued()
    }
  }

  /// How long the loop may sleep: nil without limit.
  private func waitTime(limit: Nanoseconds?) -> Nanoseconds? {
    guard !isStopped, enqueued.isEmpty, unsent.isEmpty, !executor.hasJobs,
      handle.mailbox.beginSleep()
    else {
      return .zero
    }
    guard let earliest = timers.earliest else { return limit }
    let left = max(.zero, earliest - clock.monotonic())
    return min(left, limit ?? left)
  }

  private func complete(_ completion: kfm_completion) {
    guard completion.user_data != OperationID.none.raw else { return }
    let flags = CompletionFlags(rawValue: completion.flags)
    let last = !flags.contains(.more)
    guard let (client, operation) = operations.take(completion.user_data, last: last) else {
      statistics.staleCompletions.add()
      if flags.contains(.hasBuffer) { receiveBuffers?.recycle(flags.bufferIndex) }
      return
    }
    client.completed(operation, result: completion.result, flags: flags)
    watchdog.ended("\(operation) of \(type(of: client))")
  }

  private func runTimers() {
    guard timers.count > 0 else { return }
    let now = clock.monotonic()
    let limit = timers.nextSequence
    while let timer = timers.popDue(now: now, before: limit) {
      let body = timer.body
      timer.cancel()
      body?()
      watchdog.ended("timer")
    }
  }

  private func runEnqueued() {
    swap(&enqueued, &runningEnqueued)
    for body in runningEnqueued {
      body()
      watchdog.ended("enqueued work")
    }
    runningEnqueued.removeAll(keepingCapacity: runningEnqueued.count <= 1_024)
  }

  /// Returns whether there was any.
  private func runPosts() -> Bool {
    handle.mailbox.take(&posts)
    guard !posts.isEmpty else { return false }
    for post in posts {
      defer { watchdog.ended(post.name) }
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

  /// Runs what tasks of the loop resumed here. Returns whether there was any.
  private func runJobs() -> Bool {
    executor.take(&jobs)
    guard !jobs.isEmpty else { return false }
    for job in jobs {
      job.runSynchronously(on: executor.asUnownedTaskExecutor())
      watchdog.ended("task")
    }
    jobs.removeAll(keepingCapacity: jobs.count <= 1_024)
    return true
  }

  /// Cancels all operations and waits until the kernel has let go of their buffers.
  private func cancelEverything() {
    backend.cancelAll()
    let end = clock.monotonic() + Self.closeWaitMax
    var held: [any RingClient] = []
    while operations.count > 0, clock.monotonic() < end {
      backend.enter(waiting: .milliseconds(10))
      backend.forEachCompletion { completion in
        let last = !CompletionFlags(rawValue: completion.flags).contains(.more)
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
    loop.submit(self, .wake(descriptor: descriptor))
  }

  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    // A full completion queue ends a multishot operation.
    if !flags.contains(.more) { arm() }
  }

  func abandoned() {}
}
