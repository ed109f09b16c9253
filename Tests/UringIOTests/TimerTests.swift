// Contract: however many timers there are and however far away, they run in order of their time,
// ties in the order they were made, and cancelled ones never; checked against a sorted list.
import Base
import TestSupport
import Testing
import UringIO

@Suite struct TimerTests {
  #if DEBUG
    private static let count = 50_000
  #else
    private static let count = 1_000_000
  #endif

  @Test func aMillionTimersAgainstASortedList() throws {
    let seed = testSeed()
    var random = SplitMix64(seed: seed)
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    defer { loop.close() }
    var model = Model()
    for index in 0..<Self.count {
      let delay = Nanoseconds(Self.delay(&random))
      model.handles.append(loop.schedule(after: delay) { model.ran(index) })
      model.hasRun.append(false)
      model.deadlines.append(clock.monotonic() + delay)
      if Int.random(in: 0..<4, using: &random) == 0 {
        model.cancel(Int.random(in: 0...index, using: &random))
      }
      if index % 1_000 == 0 {
        clock.advance(Nanoseconds(Int64.random(in: 0...3_000_000, using: &random)))
        loop.runOnce()
      }
    }
    // Jumps of every size, across all levels of the wheel, until the last has run.
    var step: Int64 = 1_000
    while model.seen.count < model.expectedCount, step < Int64.max / 4 {
      clock.advance(Nanoseconds(step))
      loop.runOnce()
      step += step / 8
    }
    let isInOrder = model.seen == model.expected
    #expect(isInOrder, "seed \(seed): \(model.seen.count) of \(model.expectedCount) ran")
  }

  @Test func aTimerMayCancelAndMakeOthersOfItsTime() throws {
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    defer { loop.close() }
    var ran: [Int] = []
    var handles: [any Cancellable] = []
    for index in 0..<100 {
      handles.append(
        loop.schedule(after: .milliseconds(5)) {
          ran.append(index)
          if index % 2 == 0 { handles[index + 1].cancel() }
          loop.schedule(after: .zero) { ran.append(1_000 + index) }
        })
    }
    clock.advance(.milliseconds(5))
    loop.runOnce()
    #expect(ran == Array(stride(from: 0, to: 100, by: 2)))
    loop.runOnce()
    #expect(ran.count == 100)
  }

  /// From nanoseconds to months, and many at one time.
  private static func delay(_ random: inout SplitMix64) -> Int64 {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: 5_000_000
    case 1: Int64.random(in: 0...1_000, using: &random)
    case 2: Int64.random(in: 0...10_000_000_000_000_000, using: &random)
    default: 1 << Int64.random(in: 0...45, using: &random)
    }
  }

  private struct Model {
    var deadlines: [Nanoseconds] = []
    var handles: [any Cancellable] = []
    var hasRun: [Bool] = []
    var cancelled: Set<Int> = []
    var seen: [Int] = []

    mutating func ran(_ index: Int) {
      seen.append(index)
      hasRun[index] = true
    }

    mutating func cancel(_ index: Int) {
      handles[index].cancel()
      if !hasRun[index] { cancelled.insert(index) }
    }

    var expectedCount: Int { deadlines.count - cancelled.count }

    var expected: [Int] {
      deadlines.indices.filter { !cancelled.contains($0) }
        .sorted { (deadlines[$0], $0) < (deadlines[$1], $1) }
    }
  }
}
