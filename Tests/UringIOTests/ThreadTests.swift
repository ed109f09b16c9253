// Contract: blocking work runs elsewhere and completes on the loop, a full queue refuses, and a
// task of the loop stays on its thread through every suspension.
import Base
import Glibc
import Synchronization
import TestSupport
import Testing
import UringIO

@Suite struct ThreadTests {
  @Test(arguments: IOKind.allCases) func workRunsElsewhereAndCompletesOnTheLoop(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let threads = SideThreads(threads: 2)
      let handle = harness.loop.handle
      var results: [Int] = []
      for number in 0..<100 {
        try threads.run({ handle.isCurrent ? -1 : number * 2 }, on: harness.loop) { result in
          #expect(handle.isCurrent)
          results.append(result)
        }
      }
      #expect(harness.until { results.count == 100 })
      #expect(results.sorted() == (0..<100).map { $0 * 2 })
    }
  }

  @Test(arguments: IOKind.allCases) func aFullQueueRefuses(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let threads = SideThreads(threads: 1, queueMax: 3)
      let gate = Gate()
      var completed = 0
      try threads.run({ gate.wait() }, on: harness.loop) { completed += 1 }
      gate.waitUntilEntered()
      for _ in 0..<3 { try threads.run({}, on: harness.loop) { completed += 1 } }
      #expect(threads.queued == 3)
      #expect {
        try threads.run({}, on: harness.loop) { Issue.record("ran although refused") }
      } throws: { ($0 as? SideThreads.QueueFull)?.limit == 3 }
      gate.open()
      #expect(harness.until { completed == 4 })
      try threads.run({}, on: harness.loop) { completed += 1 }
      #expect(harness.until { completed == 5 })
    }
  }

  /// As many as there is work for that waits, up to the most.
  @Test(arguments: IOKind.allCases) func threadsComeWithTheWork(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let threads = SideThreads(threads: 3, started: 1)
      let gates = (0..<3).map { _ in Gate() }
      var completed = 0
      for gate in gates {
        try threads.run({ gate.wait() }, on: harness.loop) { completed += 1 }
        #expect(gate.waitUntilEntered())
      }
      // All three are at work; there is no fourth.
      try threads.run({}, on: harness.loop) { completed += 1 }
      #expect(threads.queued == 1)
      for gate in gates { gate.open() }
      #expect(harness.until { completed == 4 })
    }
  }

  @Test(arguments: IOKind.allCases) func resultsForAClosedLoopAreDropped(io: IOKind) throws {
    let threads = SideThreads(threads: 1)
    let gate = Gate()
    try LoopHarness.run(io) { harness in
      try threads.run({ gate.wait() }, on: harness.loop) { Issue.record("completed") }
      gate.waitUntilEntered()
    }
    gate.open()
    try LoopHarness.run(io) { harness in
      var isDone = false
      try threads.run({}, on: harness.loop) { isDone = true }
      #expect(harness.until { isDone })
    }
  }

  /// The completion may hold the last reference to the loop itself, which must not end on a thread
  /// that is not its own.
  @Test(arguments: IOKind.allCases) func completionsOfAClosedLoopAreReleasedByIt(io: IOKind) throws
  {
    let threads = SideThreads(threads: 1)
    let gate = Gate()
    let released = Atomic<Int>(0)
    try LoopHarness.run(io) { harness in
      let witness = Witness { released.store($0 ? 1 : 2, ordering: .relaxed) }
      witness.handle = harness.loop.handle
      try threads.run({ gate.wait() }, on: harness.loop) { _ = witness }
      gate.waitUntilEntered()
    }
    gate.open()
    #expect(released.load(ordering: .relaxed) == 1)
  }

  @Test(arguments: IOKind.allCases) func aTaskOfTheLoopNeverLeavesItsThread(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let server = try EchoServer(harness.loop, .ipv4(host: "127.0.0.1", port: 0))
      let client = try harness.connect(server.listener.address)
      let handle = harness.loop.handle
      let counter = LoopActor(harness.loop.serialExecutor)
      var off = 0
      var echoed: [UInt8] = []
      var isDone = false
      harness.loop.startTask { loop in
        func check() { if !handle.isCurrent { off += 1 } }
        let stream = AsyncSocket(client)
        check()
        for round in 0..<200 {
          _ = try? await stream.send([UInt8(round)])
          check()
          if let bytes = try? await stream.receive() { echoed += bytes }
          check()
          if await counter.add() != handle.isCurrent { off += 1 }
          check()
        }
        await loop.sleep(for: .milliseconds(1))
        check()
        async let child = counter.add()
        _ = await child
        check()
        stream.close()
        isDone = true
      }
      #expect(harness.until { isDone })
      #expect(off == 0)
      #expect(echoed == (0..<200).map { UInt8($0) })
      // The proof that no thread but the loop's took part: nobody else ever woke the loop.
      #expect(harness.loop.statistics.wakeups.value == 0)
      server.listener.close()
    }
  }

  @Test(arguments: IOKind.allCases) func callbacksOfTheLoopMayAssumeItsActors(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let counter = LoopActor(harness.loop.serialExecutor)
      var isDone = false
      harness.loop.enqueue {
        counter.assumeIsolated { $0.count += 1 }
        isDone = true
      }
      #expect(harness.until { isDone })
    }
  }

  @Test(arguments: IOKind.allCases) func receiveEndsWithNilAndFailuresAreThrown(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var server: Socket?
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) {
        server = $0
      }
      let client = try harness.connect(listener.address)
      #expect(harness.until { server != nil })
      var log: [String] = []
      harness.loop.startTask { [server] loop in
        let stream = AsyncSocket(client)
        do {
          while let bytes = try await stream.receive() { log.append("\(bytes.count)") }
          log.append("end")
          // More than the kernel takes: waits until the peer has read, then fails.
          while true { try await stream.send([UInt8](repeating: 1, count: 1 << 20)) }
        } catch {
          log.append((error as? IOFailure).map { "\($0.operation) failed" } ?? "?")
        }
        stream.close()
        _ = server
      }
      server?.send([1, 2, 3])
      server?.shutdownWrite()
      #expect(harness.until { log.contains("end") })
      server?.close()
      #expect(harness.until { log.last == "send failed" })
      #expect(log == ["3", "end", "send failed"])
      listener.close()
    }
  }
}

/// An actor that lives on a loop.
private actor LoopActor {
  private let executor: LoopSerialExecutor
  var count = 0

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  init(_ executor: LoopSerialExecutor) { self.executor = executor }

  func add() -> Bool {
    count += 1
    return executor.isIsolatingCurrentContext() == true
  }
}

/// Holds a thread until it is opened.
private final class Gate: Sendable {
  private let entered = Atomic<Bool>(false)
  private let opened = Atomic<Bool>(false)

  func wait() {
    entered.store(true, ordering: .releasing)
    while !opened.load(ordering: .acquiring) { usleep(100) }
  }

  /// False when nobody came within ten seconds.
  @discardableResult func waitUntilEntered() -> Bool {
    for _ in 0..<100_000 {
      if entered.load(ordering: .acquiring) { return true }
      usleep(100)
    }
    return false
  }

  func open() { opened.store(true, ordering: .releasing) }
}

/// Says whether it went on the thread of a loop.
private final class Witness {
  var handle: EventLoopHandle?
  private let report: (Bool) -> Void

  init(_ report: @escaping (Bool) -> Void) { self.report = report }

  deinit { report(handle?.isCurrent ?? false) }
}
