// The contract (SEMANTICS D23): a turn can be stopped at any time; its calls are aborted, it ends
// once, cancelled, with what it had said; queued turns end without having run.

import AgentEngine
import Base
import Events
import Testing

@Suite struct CancelTests {
  private func cancel(_ harness: EngineHarness, _ turn: ULID) -> Bool? {
    var answer: Result<(resource: TurnResource, hadEnded: Bool), Problem>?
    harness.engine.cancel(turn, for: .local, traceID: String(repeating: "1", count: 32)) {
      answer = $0
    }
    _ = harness.time.run(until: { answer != nil })
    return try? answer?.get().hadEnded
  }

  @Test func runningTurnEndsWithWhatItSaid() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(deltas: (0..<50).map { "w\($0) " })]
    let turn = harness.begin("long")
    let probe = try #require(harness.attach(turn))
    _ = harness.time.run(until: { probe.text.contains("w3 ") })
    #expect(cancel(harness, turn) == false)
    let end = try #require(harness.finish(turn))
    #expect(end.status == .cancelled)
    #expect(end.terminal["answer"]?.string == probe.text)
    #expect(harness.world.calls[0].isCancelled)
    #expect(cancel(harness, turn) == true)
    #expect(probe.events.filter(\.isTerminal).count == 1)
  }

  @Test func queuedTurnNeverRuns() throws {
    let harness = EngineHarness()
    let first = harness.begin("one", session: "s")
    let second = harness.begin("two", session: "s")
    #expect(cancel(harness, second) == false)
    #expect(harness.resource(first)?.status == .running)
    #expect(harness.finish(second)?.status == .cancelled)
    #expect(harness.finish(first)?.status == .completed)
    #expect(harness.world.requests.count == 1)
  }

  @Test func deadlineCancels() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(delay: .seconds(5))]
    let submission = harness.submission(
      "slow", deadline: harness.time.clock.wall().adding(.seconds(1)))
    let turn = try harness.submit(submission).get().turnID
    let end = try #require(harness.finish(turn))
    #expect(end.status == .cancelled)
    #expect(end.terminal["error"]?["code"]?.string == "deadline_exceeded")
  }

  @Test func unknownTurnsAndOthersTurnsAreNotThere() throws {
    let harness = EngineHarness()
    let turn = harness.begin("mine")
    var codes: [ErrorCode] = []
    let other = Principal(subject: "eve", tenantID: "default", scopes: [], auth: "key")
    harness.engine.turn(turn, for: other) {
      if case .failure(let problem) = $0 { codes.append(problem.code) }
    }
    harness.engine.turn(ULID(value: 1), for: .local) {
      if case .failure(let problem) = $0 { codes.append(problem.code) }
    }
    harness.time.run()
    #expect(codes == [.turnNotFound, .turnNotFound])
  }

  @Test func aStepThatTakesTooLongFails() throws {
    var options = EngineOptions()
    options.stepTimeout = .seconds(1)
    let harness = EngineHarness(options: options)
    harness.world.replies = [ScriptedReply(delay: .seconds(20))]
    let end = try #require(harness.finish(harness.begin("slow")))
    #expect(end.terminal["error"]?["code"]?.string == "step_timeout")
    #expect(harness.world.calls[0].isCancelled)
  }
}
