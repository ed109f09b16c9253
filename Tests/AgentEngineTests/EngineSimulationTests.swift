// The contract: whatever users do, whatever fails and whenever the process dies, a promised turn
// ends exactly once, what is settled never happens again, and every reader ends with the same
// stream (SEMANTICS D8, D11 to D25). Random runs on virtual time from a printed seed; the log is
// in memory, one process at a time owns it: nothing is said about several nodes.
//
// One seed again: KFM_TEST_SIMULATION_SEED=7 swift test --filter EngineSimulationTests

import Glibc
import Testing

@Suite struct EngineSimulationTests {
  private static let seeds: [UInt64] = {
    if let text = getenv("KFM_TEST_SIMULATION_SEED").flatMap({ UInt64(String(cString: $0)) }) {
      return [text]
    }
    let count = getenv("KFM_TEST_SIMULATION_RUNS").flatMap { UInt64(String(cString: $0)) }
    return Array(1...(count ?? 300))
  }()

  /// Operations of a run; more find rarer things and take longer.
  private static let operations =
    getenv("KFM_TEST_SIMULATION_OPERATIONS").flatMap { Int(String(cString: $0)) } ?? 18

  /// Faults and transitions that the seeds together must have met, or the runs say nothing.
  private static let wanted = [
    "kill", "kill keeping appends", "kill tearing an append", "kill during start",
    "kill during drain", "drain", "disk full", "slow commits", "pack changed", "admitted",
    "replayed by key", "refused: queueFull", "refused: diskFull", "refused: sessionNotFound",
    "refused: idempotencyKeyReused", "cancelled", "cancelled too late", "client came",
    "client came back", "reset without id", "reset seen live", "reset on the log",
    "call restarted", "call hangs", "tool hangs", "answer without deltas", "call with history",
    "step started again", "revision", "idempotent again", "turn completed", "turn failed",
    "turn cancelled", "turn ended: effect_unknown", "turn ended: poison",
    "turn ended: pack_unavailable", "turn ended: deadline_exceeded",
    "turn ended: response_schema_violation", "turn ended: steps_exhausted",
    "step failed: step_timeout", "step failed: provider_stream_cut", "TurnResuming.v1",
  ]

  @Test func randomRunsKeepEveryPromise() {
    var counts: [String: Int] = [:]
    for seed in Self.seeds {
      let simulation = EngineSimulation(
        EngineSimulation.Settings(seed: seed, operations: Self.operations))
      simulation.model.tells = Self.seeds.count == 1
      let problems = simulation.run()
      counts.merge(simulation.model.counts) { $0 + $1 }
      #expect(problems.isEmpty, Self.replay(seed))
    }
    guard Self.seeds.count > 100 else { return }
    for what in Self.wanted { #expect(counts[what] ?? 0 > 0, "no run met: \(what)") }
  }

  /// An error after which the records are there all the same: SEMANTICS D5 and D8 allow it.
  @Test func appendsThatFailedAndWereKept() {
    var lies = 0
    for seed in Self.seeds.prefix(30) {
      let simulation = EngineSimulation(
        EngineSimulation.Settings(seed: seed, operations: Self.operations, lies: true))
      #expect(simulation.run().isEmpty, Self.replay(seed))
      lies += simulation.model.counts["append failed and was kept"] ?? 0
    }
    #expect(lies > 0 || Self.seeds.count == 1)
  }

  @Test func oneSeedGivesOneRun() {
    for seed in Self.seeds.prefix(10) {
      let traces = (0..<2).map { _ in
        let simulation = EngineSimulation(
          EngineSimulation.Settings(seed: seed, operations: Self.operations))
        _ = simulation.run()
        return simulation.model.trace
      }
      #expect(traces[0] == traces[1], Self.replay(seed))
    }
  }

  private static func replay(_ seed: UInt64) -> Comment {
    "KFM_TEST_SIMULATION_SEED=\(seed) swift test --filter EngineSimulationTests"
  }
}
