// Contract: a task of the loop suspends and resumes on the loop's thread: no job of it ever comes
// through another thread. A job that does is counted, so the count can be trusted.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct AwaitTests {
  @Test(arguments: IOKind.allCases) func awaitingNeverLeavesTheLoop(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let (left, right) = try rawPair(harness.loop)
      let tally = Tally()
      startEcho(harness.loop, right)
      startCaller(harness.loop, left, tally)
      #expect(harness.until { tally.hasEnded })
      #expect(tally.answers == 200)
      #expect(tally.isAlwaysOnLoop)
      #expect(harness.loop.statistics.foreignEnqueues.value == 0)
    }
  }

  @Test func aJobFromAnotherThreadIsCounted() throws {
    try LoopHarness.run { harness in
      let executor = harness.loop.taskExecutor
      let hasRun = Flag()
      startThread { Task(executorPreference: executor) { hasRun.raise() } }
      #expect(harness.until { hasRun.isRaised })
      #expect(harness.loop.statistics.foreignEnqueues.value > 0)
    }
  }

  private func startEcho(_ loop: EventLoop, _ socket: Socket) {
    loop.startTask { _ in
      let stream = AsyncSocket(socket)
      while let bytes = try? await stream.receive() { try? await stream.send(bytes) }
      stream.close()
    }
  }

  private func startCaller(_ loop: EventLoop, _ socket: Socket, _ tally: Tally) {
    loop.startTask { loop in
      let stream = AsyncSocket(socket)
      for round in 0..<200 {
        try? await stream.send([UInt8(round)])
        if let answer = try? await stream.receive(), answer == [UInt8(round)] {
          tally.answers += 1
        }
        if !loop.handle.isCurrent { tally.isAlwaysOnLoop = false }
        if round % 50 == 0 { await loop.sleep(for: Nanoseconds(1_000)) }
      }
      stream.close()
      tally.hasEnded = true
    }
  }

  private final class Tally {
    var answers = 0
    var isAlwaysOnLoop = true
    var hasEnded = false
  }

  /// Raised on the loop, looked at on the loop.
  private final class Flag: @unchecked Sendable {
    private(set) var isRaised = false

    func raise() { isRaised = true }
  }
}
