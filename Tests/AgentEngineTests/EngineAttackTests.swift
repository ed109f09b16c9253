// The contract: corners of a turn's way that random runs do not reach: far deadlines, keys that
// have expired, events in the wrong place, counts over several deaths, and a stop on a full disk.

import AgentEngine
import Base
import Events
import Testing

@Suite struct EngineAttackTests {
  @Test func aFarDeadlineIsNoDeadline() throws {
    let harness = EngineHarness()
    let far = try #require(Timestamp(rfc3339: "9999-12-31T23:59:59Z"))
    let turn = try harness.submit(harness.submission("x", deadline: far)).get().turnID
    #expect(harness.finish(turn)?.status == .completed)
  }

  /// SEMANTICS D25: a key is kept for 24 h; the turn that used it again is promised like any.
  @Test func aKeyUsedAgainAfterADaySurvivesADeath() throws {
    let harness = EngineHarness()
    let first = try harness.submit(harness.submission("a", key: "k")).get()
    _ = harness.finish(first.turnID)
    harness.time.run(for: .seconds(25 * 3_600))
    let second = try harness.submit(harness.submission("a", key: "k")).get()
    #expect(second.turnID != first.turnID)
    // It is on the log, and its acceptance is not.
    harness.kill(keeping: 0)
    #expect(harness.finish(second.turnID)?.status == .completed)
  }

  /// SEMANTICS D2: what stands in another partition than its session's goes to the dead letters.
  @Test func anEventInTheWrongPartitionIsADeadLetter() throws {
    let harness = EngineHarness()
    let wrong = (partition(ofSession: "s", count: 4) + 1) % 4
    let payload: JSON = [
      "turn_id": .string(ULID(value: 77).description), "user_message": "hi",
      "personality_id": "plain", "principal": Principal.local.json,
      "created_at": .string(harness.time.clock.wall().rfc3339),
      "deadline": .string(harness.time.clock.wall().adding(.seconds(60)).rfc3339), "options": [:],
    ]
    let record = EventEnvelope(
      eventID: ULID(value: 78), type: "TurnEvent.v1", timestamp: harness.time.clock.wall(),
      traceID: String(repeating: "ab", count: 16), tenantID: "default", sessionID: "s"
    ).record(payload: payload.encoded)
    harness.bus.append([PartitionBatch(TopicPartition(.turnsRequests, wrong), [record])]) { _ in }
    harness.time.run()
    harness.kill()
    harness.time.run()
    let letters = harness.bus.events(.deadLetters).map { $0["payload"]?["reason"]?.string }
    #expect(letters == ["wrong_partition"])
  }

  /// SURFACE: `retries` are calls beyond a step's first, over all epochs.
  @Test func retriesAddUpOverDeaths() throws {
    let harness = EngineHarness()
    harness.world.replies = (0..<4).map { _ in ScriptedReply(delay: .seconds(5)) }
    let turn = harness.begin("x")
    for _ in 0..<2 {
      harness.time.run(for: .seconds(1))
      harness.kill()
    }
    let end = try #require(harness.finish(turn))
    #expect(harness.world.requests.count == 3)
    #expect(end.terminal["receipt"]?["retries"]?.int == 2)
  }

  /// A settled cancel that the dead owner had not seen comes before anything is called again.
  @Test func aCancelFromBeforeTheDeathStopsTheTurnBeforeItCalls() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(delay: .seconds(5)), ScriptedReply(delay: .seconds(5))]
    let turn = harness.begin("x")
    harness.time.run(for: .seconds(1))
    harness.engine.cancel(turn, for: .local, traceID: String(repeating: "1", count: 32)) { _ in }
    harness.kill(keeping: 1)
    #expect(harness.finish(turn)?.status == .cancelled)
    #expect(harness.world.requests.count == 1)
  }

  /// What the model said beside its tool call is one message of the history, not two.
  @Test func aCancelledToolRoundIsToldOnce() throws {
    let harness = EngineHarness()
    harness.world.toolDelay = .seconds(60)
    let call = ToolCall(id: "c", name: "look", arguments: "{}")
    harness.world.replies = [ScriptedReply(deltas: ["let me"], toolCalls: [call])]
    let turn = harness.begin("one", session: "s", personality: "tooled")
    _ = harness.time.run(until: { harness.world.toolRuns.count == 1 })
    harness.engine.cancel(turn, for: .local, traceID: String(repeating: "1", count: 32)) { _ in }
    #expect(harness.finish(turn)?.status == .cancelled)
    _ = harness.finish(harness.begin("two", session: "s", personality: "tooled"))
    let told = harness.world.requests[1].messages.filter { $0.text == "let me" }
    #expect(told.count == 1)
  }

  /// A stop is bounded: on a full disk the rest is left for the next start.
  @Test func drainEndsOnAFullDisk() {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(delay: .seconds(30))]
    _ = harness.begin("x")
    harness.bus.failNext = Array(repeating: .diskFull, count: 10_000)
    var isDown = false
    harness.engine.drain(timeout: .seconds(1)) { isDown = true }
    _ = harness.time.run(within: .seconds(60), until: { isDown })
    #expect(isDown)
  }

  /// The text of a step that timed out was shown; the terminal names it as it does for any other
  /// failed call.
  @Test func aTimedOutStepKeepsItsText() throws {
    var options = EngineOptions()
    options.stepTimeout = .seconds(2)
    let harness = EngineHarness(options: options)
    harness.world.replies = [ScriptedReply(deltas: ["a ", "b ", "c "], delay: .milliseconds(900))]
    let turn = harness.begin("slow")
    let probe = try #require(harness.attach(turn))
    let end = try #require(harness.finish(turn))
    #expect(end.terminal["error"]?["code"]?.string == "step_timeout")
    #expect(end.terminal["answer"]?.string == probe.text)
  }

  /// A session belongs to the subject of its first turn; a turn that never got to the log is none.
  @Test func aFailedSubmissionTakesNoSession() {
    let harness = EngineHarness()
    harness.bus.failNext = [.diskFull]
    _ = harness.submit(harness.submission("x", session: "s"))
    var other = harness.submission("y", session: "s")
    other.principal = Principal(subject: "eve", tenantID: "default", scopes: [], auth: "key")
    #expect(throws: Never.self) { try harness.submit(other).get() }
  }

  @Test func aBurstDoesNotPassTheQueue() {
    var options = EngineOptions()
    options.queueMax = 2
    let harness = EngineHarness(options: options)
    var taken = 0
    var answered = 0
    for index in 0..<10 {
      harness.engine.submit(harness.submission("\(index)", session: "s")) {
        if case .success = $0 { taken += 1 }
        answered += 1
      }
    }
    _ = harness.time.run(until: { answered == 10 })
    #expect(taken == 3)
  }

  /// SEMANTICS D20: a turn whose first owner's records were all lost is taken anew, at other
  /// positions; a client that knows those of the lost owner gets everything.
  @Test func positionsOfALostOwnerAreNotKnown() {
    var stream = TurnStream(epoch: 2)
    for (name, id) in [("turn.accepted", 1), ("plan", 2), ("step.started", 3), ("delta", 4)] {
      _ = stream.append(name: name, data: Array("{}".utf8), eventID: ULID(value: UInt128(id)))
    }
    _ = stream.reset(
      turnID: ULID(value: 9), discardFrom: 4, attempt: 3 << 16, eventID: ULID(value: 5))
    let shown = stream.replay(turnID: ULID(value: 9), after: "65536.5") ?? []
    #expect(
      shown.map(\.name) == ["reset", "turn.accepted", "plan", "step.started", "reset"])
  }

  /// A turn that is acknowledged while the requests before it are being read is taken too.
  @Test func aTurnAcknowledgedDuringCatchingUpIsTaken() {
    let simulation = Self.simulation()
    let ann = EngineSimulation.principals[0]
    simulation.bus.faults.liesLeft = 1
    for _ in 0..<3 {
      simulation.submit(EngineSimulation.Submission(principal: ann, session: "session-0"))
    }
    simulation.time.run(for: .seconds(60))
    #expect(simulation.order.count == 2)
    for turn in simulation.order {
      #expect(simulation.model.turns[turn.description]?.end != nil, "promised and never taken")
    }
  }

  /// The first TurnEvent of a key on the log wins, also one whose append was reported as failed
  /// (SEMANTICS D25); whatever turn the client was promised ends.
  @Test func aKeyTriedAgainAfterAKeptFailureGivesOneTurnThatEnds() {
    let simulation = Self.simulation()
    let submission = EngineSimulation.Submission(
      principal: EngineSimulation.principals[0], session: "session-0", key: ("k", "body"))
    simulation.bus.faults.liesLeft = 1
    simulation.submit(submission)
    _ = simulation.time.run(until: { simulation.unanswered == 0 })
    simulation.submit(submission)
    _ = simulation.time.run(until: { simulation.unanswered == 0 })
    simulation.end(keeping: 0, tearing: false)
    simulation.time.run(for: .seconds(60))
    #expect(simulation.order.count == 1)
    for turn in simulation.order {
      #expect(simulation.model.turns[turn.description]?.end != nil, "promised and never taken")
    }
  }

  /// One that is up, and whose commits all take the same time.
  private static func simulation() -> EngineSimulation {
    let simulation = EngineSimulation(EngineSimulation.Settings(seed: 1))
    _ = simulation.time.run(until: { simulation.isUp })
    simulation.time.run()
    simulation.bus.faults.commit = (.milliseconds(1), .milliseconds(1))
    return simulation
  }
}
