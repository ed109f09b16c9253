// Contract: a callback that holds the loop for 50 ms or longer is reported with what kind of
// callback it was, whatever kind it is; one a second at most, all of them counted.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct WatchdogTests {
  @Test(
    arguments: [
      "timer", "post", "enqueued work", "hook", "receive of Socket", "poll of PollRegistration",
    ],
    IOKind.allCases)
  func aSlowCallbackIsNamed(activity: String, io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var stalls: [Stall] = []
      harness.loop.onStall { stalls.append($0) }
      let pair = try SocketPair(harness.loop)
      try start(activity, harness.loop, pair)
      #expect(harness.until { !stalls.isEmpty })
      #expect(stalls.map(\.activity) == [activity])
      #expect(stalls[0].duration >= EventLoop.stallMin)
      #expect(stalls[0].description.hasPrefix("\(activity) held the loop for "))
      #expect(harness.loop.statistics.stalls.value == 1)
      pair.close()
    }
  }

  @Test func moreThanOneASecondAreOnlyCounted() throws {
    try LoopHarness.run { harness in
      var reports = 0
      harness.loop.onStall { _ in reports += 1 }
      for _ in 0..<3 { harness.loop.enqueue { Self.block() } }
      #expect(harness.until { harness.loop.statistics.stalls.value == 3 })
      #expect(reports == 1)
    }
  }

  private func start(_ activity: String, _ loop: EventLoop, _ pair: SocketPair) throws {
    switch activity {
    case "timer": loop.schedule(after: .zero) { Self.block() }
    case "post": loop.handle.post { _ in Self.block() }
    case "enqueued work": loop.enqueue { Self.block() }
    case "hook":
      var isFirst = true
      loop.beforeSleep {
        if isFirst { Self.block() }
        isFirst = false
      }
    case "receive of Socket":
      pair.socket.onReceive = { _ in Self.block() }
      pair.socket.startReceiving()
      pair.put([1])
    default:
      var watch: PollRegistration?
      watch = loop.poll(descriptor: pair.socket.descriptor, events: .writable) { _ in
        watch?.cancel()
        Self.block()
      }
    }
  }

  /// The clock of the watchdog moves in steps of up to 10 ms.
  private static func block() { usleep(75_000) }
}
