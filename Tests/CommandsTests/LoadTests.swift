// Contract: latencies are known to 0.8 % at any size; times count from when a turn was meant to
// start; what the turns cost is bounded by load.spend_max.
// Not shown here: that the loop wakes in time.
import Base
import Commands
import Glibc
import Testing

@Suite struct LoadTests {
  @Test func everyValueIsKnownToAHundredAndTwentyEighth() {
    var value: UInt64 = 1
    while value < 1 << 39 {
      var histogram = LatencyHistogram()
      histogram.record(microseconds: Int64(value))
      // A larger one keeps the answer from being cut at the largest record.
      histogram.record(microseconds: Int64(value) * 2)
      let known = histogram.quantile(0.5)
      #expect(known >= value)
      #expect(Double(known - value) <= Double(value) / 128)
      value += max(1, value / 97)
    }
  }

  @Test func smallValuesAreExact() {
    var histogram = LatencyHistogram()
    for value in 1...100 { histogram.record(microseconds: Int64(value)) }
    #expect(histogram.quantile(0.5) == 50)
    #expect(histogram.quantile(0.99) == 99)
    #expect(histogram.quantile(1) == 100)
    #expect(histogram.quantile(0) == 1)
    #expect(histogram.mean == 50.5)
  }

  @Test func extremesDoNotTrap() {
    var histogram = LatencyHistogram()
    #expect(histogram.quantile(0.5) == 0)
    for value in [Int64.min, -1, 0, 1 << 39, 1 << 40, 1 << 62] {
      histogram.record(microseconds: value)
    }
    #expect(histogram.count == 6)
    #expect(histogram.quantile(1) >= 1 << 40)
  }

  @Test func startsDoNotDependOnAnything() {
    var plan = LoadPlan()
    plan.rate = 3
    plan.duration = .seconds(2)
    #expect(plan.turns == 6)
    #expect(
      (0..<4).map { plan.start(of: $0).count } == [0, 333_333_333, 666_666_667, 1_000_000_000])
  }

  static func load(_ answer: FakeReply, _ more: String...) -> ProgramRun.Outcome {
    var run = ProgramRun()
    run.answer = { _ in answer }
    return run.run(["load", "--rate", "200", "--duration", "100ms"] + more)
  }

  @Test func everyTurnIsCounted() throws {
    let outcome = Self.load(FakeReply(pieces: EventText.turn(answer: ["a", "b"])), "--json")
    #expect(outcome.exitCode == .ok)
    let report = try JSON(parsing: outcome.output)
    #expect(report["planned"]?.int == 20)
    #expect(report["completed"]?.int == 20)
    #expect(report["tokens_out"]?.int == 60)
    #expect(report["cost_micros"] == .null)
    for row in ["first_text_us", "turn_us", "start_late_us"] {
      #expect(report[row]?["count"]?.int == 20)
      #expect(report[row]?["p99.9"]?.int != nil)
    }
  }

  /// The first answer takes 100 ms, and everything behind it waits: turns that were due meanwhile
  /// have waited too, although each of them is answered at once.
  @Test func aStallCountsForEveryTurnThatWasDue() throws {
    var run = ProgramRun()
    var isFirst = true
    run.answer = { _ in
      if isFirst { usleep(100_000) }
      isFirst = false
      return FakeReply(pieces: EventText.turn(answer: ["a"]))
    }
    let outcome = run.run("load", "--rate", "200", "--duration", "100ms", "--json")
    let report = try JSON(parsing: outcome.output)
    #expect(report["turn_us"]?["count"]?.int == 20)
    #expect(try #require(report["turn_us"]?["p50"]?.int) >= 40_000)
    #expect(try #require(report["start_late_us"]?["p50"]?.int) >= 40_000)
  }

  @Test func failuresAreCountedByTheirCode() throws {
    let outcome = Self.load(.problem(429, "queue_full", "full"), "--json")
    #expect(outcome.exitCode == .failed)
    #expect(try JSON(parsing: outcome.output)["failures"]?["queue_full"]?.int == 20)
  }

  @Test func withoutANodeNothingIsMeasured() {
    let outcome = Self.load(.gone)
    #expect(outcome.exitCode == .unreachable)
    #expect(outcome.errors.contains("kfm serve"))
  }

  @Test func spendingIsBounded() throws {
    let receipt: JSON = ["tokens_in": 1, "tokens_out": 1, "cost_micros": 5, "currency": "USD"]
    let outcome = Self.load(
      FakeReply(pieces: EventText.turn(answer: ["a"], more: ["receipt": receipt])), "--json")
    #expect(outcome.exitCode == .failed)
    #expect(outcome.errors.contains("load.spend_max"))
    #expect(try #require(try JSON(parsing: outcome.output)["started"]?.int) < 20)
  }
}
