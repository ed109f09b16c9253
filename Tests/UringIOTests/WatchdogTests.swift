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
    // A machine under load holds up other callbacks too, and only one a second is reported: then
    // once more.
    for _ in 0..<20 {
      if let stall = try stall(of: activity, io) {
        #expect(stall.duration >= EventLoop.stallMin)
        #expect(stall.description.hasPrefix("\(activity) held the loop for "))
        return
      }
    }
    Issue.record("no stall of \(activity) was reported")
  }

  /// The stall of this activity, unless another was reported in its place.
  private func stall(of activity: String, _ io: IOKind) throws -> Stall? {
    try LoopHarness.run(io) { harness in
      var stalls: [Stall] = []
      harness.loop.onStall { stalls.append($0) }
      let pair = try SocketPair(harness.loop)
      try start(activity, harness.loop, pair)
      #expect(harness.until { !stalls.isEmpty })
      #expect(harness.loop.statistics.stalls.value >= stalls.count)
      pair.close()
      return stalls.first { $0.activity == activity }
    }
  }

  @Test func moreThanOneASecondAreOnlyCounted() throws {
    try LoopHarness.run { harness in
      var reports = 0
      let start = harness.loop.clock.monotonic()
      harness.loop.onStall { _ in reports += 1 }
      for _ in 0..<3 { harness.loop.enqueue { Self.block() } }
      #expect(harness.until { harness.loop.statistics.stalls.value >= 3 })
      let seconds = (harness.loop.clock.monotonic() - start).count / 1_000_000_000
      #expect(reports >= 1)
      #expect(reports <= 1 + Int(seconds))
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
