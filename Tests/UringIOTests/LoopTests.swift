// Contract: timers run in order of time and never early, posts of other threads all arrive and
// wake a sleeping loop, an idle loop does nothing, and a ring that is much too small loses nothing.
import Base
import Glibc
import Synchronization
import TestSupport
import Testing
import UringIO

@Suite struct LoopTests {
  @Test func thousandTimersRunInOrderOfTheirTime() throws {
    let seed = testSeed()
    var random = SplitMix64(seed: seed)
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    defer { loop.close() }
    var made: [(time: Nanoseconds, index: Int, handle: any Cancellable)] = []
    var seen: [Int] = []
    for index in 0..<1_000 {
      // Few distinct times, so that ties are common.
      let delay = Nanoseconds.milliseconds(Int64.random(in: 0...40, using: &random))
      let handle = loop.schedule(after: delay) { seen.append(index) }
      made.append((clock.monotonic() + delay, index, handle))
      // From anywhere in the heap.
      if Int.random(in: 0..<4, using: &random) == 0 {
        made.remove(at: Int.random(in: 0..<made.count, using: &random)).handle.cancel()
      }
      if index % 100 == 0 { clock.advance(.milliseconds(1)) }
    }
    let oracle = made.sorted { ($0.time, $0.index) < ($1.time, $1.index) }
    while seen.count < oracle.count {
      loop.runOnce()
      let due = oracle.prefix { $0.time <= clock.monotonic() }
      #expect(seen == due.map(\.index), "seed \(seed)")
      clock.advance(.milliseconds(1))
    }
  }

  @Test(arguments: IOKind.allCases) func aTimerIsNeverEarly(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let clock = harness.loop.clock
      var early = 0
      var ran = 0
      for delay: Int64 in 1...20 {
        let time = clock.monotonic() + .milliseconds(delay)
        harness.loop.schedule(after: .milliseconds(delay)) {
          ran += 1
          if clock.monotonic() < time { early += 1 }
        }
      }
      #expect(harness.until { ran == 20 })
      #expect(early == 0)
    }
  }

  @Test(arguments: IOKind.allCases) func aTimerOfTheLongestDelayNeverRuns(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      harness.loop.schedule(after: Nanoseconds(.max)) { Issue.record("ran") }
      for _ in 0..<3 { harness.loop.runOnce() }
      // Also as the one that says how long to sleep.
      #expect(!harness.until(deadline: .milliseconds(5)) { false })
    }
  }

  @Test(arguments: IOKind.allCases) func cancelledTimersNeverRun(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var ran: [String] = []
      let first = harness.loop.schedule(after: .milliseconds(1)) { ran.append("first") }
      var third: (any Cancellable)?
      harness.loop.schedule(after: .milliseconds(2)) {
        ran.append("second")
        third?.cancel()
      }
      third = harness.loop.schedule(after: .milliseconds(2)) { ran.append("third") }
      var isDone = false
      harness.loop.schedule(after: .milliseconds(10)) { isDone = true }
      first.cancel()
      first.cancel()
      #expect(harness.until { isDone })
      #expect(ran == ["second"])
    }
  }

  @Test(arguments: IOKind.allCases) func aTimerMadeForNowByATimerWaitsForTheNextTurn(io: IOKind)
    throws
  {
    try LoopHarness.run(io) { harness in
      var rounds = 0
      func again() {
        rounds += 1
        if rounds < 100 { harness.loop.schedule(after: .zero) { again() } }
      }
      harness.loop.schedule(after: .zero) { again() }
      harness.loop.runOnce()
      #expect(rounds <= 1)
      #expect(harness.until { rounds == 100 })
    }
  }

  @Test(arguments: IOKind.allCases) func postsOfManyThreadsAllArriveInOrder(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let threads = 4
      let perThread = 5_000
      // Box: the posts append to it on the loop only.
      let log = PostLog(threads: threads)
      let handle = harness.loop.handle
      for thread in 0..<threads {
        startThread {
          for number in 0..<perThread {
            handle.post { _ in log.append(thread, number) }
            if number % 100 == 0 { usleep(50) }
          }
        }
      }
      #expect(harness.until { log.count == threads * perThread })
      for numbers in log.numbers { #expect(numbers == Array(0..<perThread)) }
    }
  }

  @Test(arguments: IOKind.allCases) func postsToALoopThatIsAwakeMakeNoSystemCall(io: IOKind) throws
  {
    try LoopHarness.run(io) { harness in
      let log = PostLog(threads: 1)
      let posted = Atomic<Int>(0)
      let handle = harness.loop.handle
      startThread {
        for number in 0..<1_000 { handle.post { _ in log.append(0, number) } }
        posted.store(1_000, ordering: .releasing)
      }
      while posted.load(ordering: .acquiring) < 1_000 { sched_yield() }
      #expect(harness.until { log.count == 1_000 })
      #expect(harness.loop.statistics.wakeups.value == 0)
    }
  }

  @Test(arguments: IOKind.allCases) func aPostWakesASleepingLoop(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let handle = harness.loop.handle
      let log = PostLog(threads: 1)
      #expect(handle.isCurrent)
      startThread {
        // Long enough for the loop to sleep in nearly every run; the outcome is the same anyhow.
        usleep(20_000)
        handle.post { _ in log.append(0, handle.isCurrent ? 1 : 0) }
      }
      #expect(harness.until { log.count == 1 })
      #expect(log.numbers == [[1]])
    }
  }

  @Test(arguments: IOKind.allCases) func aPostJustBeforeTheLoopSleepsIsSeen(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let handle = harness.loop.handle
      let log = PostLog(threads: 1)
      var turns = 0
      // After the posts of this turn have run, before the flag that makes a post wake the loop.
      harness.loop.beforeSleep {
        turns += 1
        if turns == 3 { handle.post { _ in log.append(0, 1) } }
      }
      harness.loop.runOnce()
      harness.loop.runOnce()
      #expect(harness.until { log.count == 1 })
      #expect(harness.loop.statistics.enters.value <= 5)
    }
  }

  @Test(arguments: IOKind.allCases) func postsToAClosedLoopAreRefused(io: IOKind) throws {
    var handle: EventLoopHandle?
    try LoopHarness.run(io) { harness in handle = harness.loop.handle }
    #expect(try #require(handle).post { _ in } == false)
  }

  @Test(arguments: IOKind.allCases) func anIdleLoopMakesNoSystemCalls(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { _ in }
      harness.loop.runOnce()
      let before = harness.loop.statistics.enters.value
      var isDone = false
      harness.loop.schedule(after: .milliseconds(100)) { isDone = true }
      #expect(harness.until { isDone })
      // One for each level that the timer goes down in the wheel, whatever the time until then; one
      // that spins makes tens of thousands.
      #expect(harness.loop.statistics.enters.value - before <= 50)
      listener.close()
    }
  }

  @Test(arguments: IOKind.allCases) func hooksRunOncePerTurnAfterEnqueuedWork(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var order: [String] = []
      harness.loop.beforeSleep { order.append("hook") }
      harness.loop.enqueue {
        order.append("enqueued")
        harness.loop.enqueue { order.append("enqueued later") }
      }
      harness.loop.runOnce()
      #expect(order == ["enqueued", "enqueued later", "hook"])
      harness.loop.runOnce()
      #expect(order.count == 4)
    }
  }

  @Test(arguments: IOKind.allCases) func runEndsWithStop(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var ran = false
      harness.loop.schedule(after: .milliseconds(1)) {
        ran = true
        harness.loop.stop()
      }
      harness.loop.run()
      #expect(ran)
    }
  }

  @Test(arguments: IOKind.allCases) func aRingTooSmallForItsWorkLosesNothing(io: IOKind) throws {
    var options = EventLoopOptions()
    options.submissionEntries = 2
    options.completionEntries = 4
    try LoopHarness.run(io, options: options) { harness in
      let file = try harness.loop.openFile(path: "/dev/zero", flags: O_RDONLY, mode: 0)
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 16)
      defer { memory.deallocate() }
      var reads = 0
      for _ in 0..<1_000 {
        file.read(at: 0, into: memory) { result in
          #expect(result == .success(16))
          reads += 1
        }
      }
      #expect(harness.until { reads == 1_000 })
      if io == .uring { #expect(harness.loop.statistics.submissionQueueFull.value > 0) }
      file.close()
    }
  }

  @Test(arguments: IOKind.allCases) func theWholeEchoWorksOnATinyRing(io: IOKind) throws {
    var options = EventLoopOptions()
    options.submissionEntries = 1
    options.completionEntries = 2
    options.receiveBuffers = 2
    options.receiveBufferBytes = 64
    try LoopHarness.run(io, options: options) { harness in
      let server = try EchoServer(harness.loop, .ipv4(host: "127.0.0.1", port: 0))
      let clients = try (0..<8).map { _ in try harness.connect(server.listener.address) }
      var received = 0
      var ended = 0
      for client in clients {
        client.onReceive = { received += $0.count }
        client.onEnd = { _ in ended += 1 }
        client.startReceiving()
        client.send([UInt8](repeating: 7, count: 20_000))
        client.shutdownWrite()
      }
      #expect(harness.until { ended == 8 })
      #expect(received == 160_000)
      for client in clients { client.close() }
      server.listener.close()
    }
  }
}

/// What the posts of several threads did, on the loop.
// Sendable because only posts running on one loop touch it.
final class PostLog: @unchecked Sendable {
  private(set) var numbers: [[Int]]
  private(set) var count = 0

  init(threads: Int) { numbers = Array(repeating: [], count: threads) }

  func append(_ thread: Int, _ number: Int) {
    numbers[thread].append(number)
    count += 1
  }
}
