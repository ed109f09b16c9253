// The contract: whenever the process dies, what was acknowledged goes on and ends once; a finished
// step never runs again; an effect that may have happened is not repeated; a client that comes
// back ends with the answer, behind a reset where text began anew (SEMANTICS D13 to D20).
// Deaths are placed at every commit of a turn's way, with every part of the appends under way
// kept; disks that lie are the log's business and not tried here.

import AgentEngine
import Base
import Events
import Testing

@Suite struct TakeOverTests {
  /// Kills the engine after each number of bus appends, keeping each number of those under way,
  /// and checks the turn that was acknowledged before.
  @Test(arguments: ["plain", "learned", "tooled"]) func deathAtEveryCommit(_ pack: String) throws {
    var deaths = 0
    for count in 0..<40 {
      for kept in 0...2 {
        let harness = EngineHarness()
        script(harness, pack)
        let before = harness.bus.appends
        let turn = harness.begin("go", session: "s", personality: pack)
        let client = try #require(harness.attach(turn))
        _ = harness.time.run(until: {
          harness.bus.appends - before >= count + 1 || client.terminal != nil
        })
        let ended = client.terminal
        harness.kill(keeping: kept)
        deaths += 1
        try check(harness, turn, client, wasEnded: ended?.data)
      }
    }
    #expect(deaths == 120)
  }

  private func script(_ harness: EngineHarness, _ pack: String) {
    // Every call of the model says the same, so that a repeat can be told from a loss.
    if pack == "tooled" {
      let call = ToolCall(id: "c", name: "look", arguments: "{}")
      harness.world.replies = [
        ScriptedReply(deltas: ["let ", "me "], toolCalls: [call])
      ]
    }
  }

  private func check(
    _ harness: EngineHarness, _ turn: ULID, _ client: StreamProbe, wasEnded: JSON?
  ) throws {
    let calls = harness.world.requests.count
    let end = try #require(harness.finish(turn))
    #expect(end.status == .completed)
    if let wasEnded {
      #expect(harness.world.requests.count == calls, "a finished turn ran again")
      #expect(wasEnded["answer"] == end.terminal["answer"])
    }
    // The client comes back where it was.
    let again = harness.attach(turn, after: client.lastID)
    for event in again?.events ?? [] { client.take(event) }
    #expect(client.broken.isEmpty)
    #expect(client.terminal?.name == "turn.completed")
    // Whoever reads from the start sees a whole stream.
    let fresh = try #require(harness.attach(turn))
    #expect(fresh.broken.isEmpty)
    #expect(fresh.names == client.names)
    #expect(fresh.terminal?.data["answer"] == end.terminal["answer"])
    harness.time.run()
    let ends = Set(
      harness.bus.events(.turnsResponses).filter {
        $0["payload"]?["event"]?.string == "turn.completed"
      }.compactMap { $0["event_id"]?.string })
    #expect(ends.count == 1)
  }

  @Test func anEffectThatMayHaveHappenedIsNotRepeated() throws {
    let harness = EngineHarness()
    harness.world.toolDelay = .seconds(60)
    harness.world.replies = [
      ScriptedReply(
        deltas: [], toolCalls: [ToolCall(id: "c", name: "send", arguments: "{}")])
    ]
    let turn = harness.begin("send it", personality: "tooled")
    _ = harness.time.run(until: { harness.world.toolRuns.count == 1 })
    harness.kill()
    let end = try #require(harness.finish(turn))
    #expect(end.status == .failed)
    #expect(end.terminal["error"]?["code"]?.string == "effect_unknown")
    #expect(harness.world.toolRuns.count == 1)
  }

  @Test func anEffectWaitsForItsStartToBeSettled() throws {
    let harness = EngineHarness()
    harness.world.replies = [
      ScriptedReply(
        deltas: [], toolCalls: [ToolCall(id: "c", name: "send", arguments: "{}")])
    ]
    let turn = harness.begin("send it", personality: "tooled")
    let probe = try #require(harness.attach(turn))
    harness.bus.commitDelay = .seconds(1)
    func toolStarted() -> Bool {
      probe.standing.contains {
        $0.data["step_type"]?.string == "tool" && $0.name == "step.started"
      }
    }
    _ = harness.time.run(until: toolStarted)
    #expect(harness.world.toolRuns.isEmpty)
    _ = harness.time.run(until: { !harness.world.toolRuns.isEmpty })
    let started = harness.bus.events(.journal).filter {
      $0["type"]?.string == "StepStarted.v1" && $0["payload"]?["step_type"]?.string == "tool"
    }
    #expect(started.count >= 1)
  }

  @Test func whatDiesAgainAndAgainIsPoison() throws {
    let harness = EngineHarness()
    harness.world.replies = (0..<9).map { _ in ScriptedReply(delay: .seconds(30)) }
    let turn = harness.begin("deadly")
    for _ in 0..<5 {
      let calls = harness.world.requests.count
      _ = harness.time.run(until: { harness.world.requests.count > calls })
      harness.time.run(for: .seconds(1))
      harness.kill()
    }
    let end = try #require(harness.finish(turn))
    #expect(end.terminal["error"]?["code"]?.string == "poison")
  }

  @Test func aReleasedOwnerLeavesNoBlame() throws {
    let harness = EngineHarness()
    harness.world.replies = (0..<12).map { _ in ScriptedReply(delay: .seconds(10)) }
    let turn = harness.begin("slow")
    for _ in 0..<8 {
      harness.time.run(for: .seconds(1))
      var isDown = false
      harness.engine.drain(timeout: .milliseconds(10)) { isDown = true }
      #expect(harness.time.run(until: { isDown }))
      harness.kill()
    }
    #expect(harness.finish(turn)?.status == .completed)
  }

  @Test func queuedTurnsSurviveInOrder() throws {
    let harness = EngineHarness()
    let turns = (0..<5).map { harness.begin("q\($0)", session: "s") }
    harness.kill()
    for turn in turns { #expect(harness.finish(turn)?.status == .completed) }
    let asked = harness.world.requests.compactMap { $0.messages.last?.text }
    #expect(asked.suffix(5) == ["q0", "q1", "q2", "q3", "q4"])
  }

  @Test func anotherPackVersionEndsTheTurn() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(delay: .seconds(30))]
    let turn = harness.begin("x")
    harness.time.run(for: .seconds(1))
    harness.world.packs["plain"]?.digest = "another"
    harness.kill()
    #expect(harness.finish(turn)?.terminal["error"]?["code"]?.string == "pack_unavailable")
  }

  @Test func aTurnWhoseEventIsGoneEnds() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(delay: .seconds(30))]
    let turn = harness.begin("x", session: "s")
    let next = harness.begin("y", session: "s")
    harness.time.run(for: .seconds(1))
    #expect(
      harness.bus.rewrite(.turnsRequests) {
        $0.contains(turn.description) ? $0.replacing("user_message", with: "user_massage") : $0
      } == 1)
    harness.kill()
    let end = try #require(harness.finish(turn))
    #expect(end.status == .failed)
    #expect(end.terminal["error"]?["code"]?.string == "internal")
    #expect(harness.finish(next)?.status == .completed)
  }

  /// D34: what a newer release has recorded is left alone until somebody can read it.
  @Test(arguments: [("\"fold_version\":1", "\"fold_version\":9"), ("1.0.0", "2.0.0")])
  func recordsOfANewerReleaseParkTheirSession(_ newer: (String, String)) throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(delay: .seconds(30))]
    let turn = harness.begin("x", session: "s")
    harness.time.run(for: .seconds(1))
    let calls = harness.world.requests.count
    #expect(
      harness.bus.rewrite(.journal) {
        $0.contains("PlanDecided.v1") ? $0.replacing(newer.0, with: newer.1) : $0
      } > 0)
    harness.kill()
    harness.time.run(for: .seconds(60))
    #expect(harness.resource(turn)?.status == .queued)
    let late = harness.begin("z", session: "s")
    #expect(harness.finish(harness.begin("other", session: "t"))?.status == .completed)
    harness.time.run(for: .seconds(1_200))
    for parked in [turn, late] {
      let end = try #require(harness.finish(parked))
      #expect(end.terminal["error"]?["code"]?.string == "session_parked")
    }
    let asked = harness.world.requests.dropFirst(calls).compactMap { $0.messages.last?.text }
    #expect(asked == ["other"])
  }

  @Test func aFullDiskHoldsTurnsUpAndLosesNothing() throws {
    let harness = EngineHarness()
    let turn = harness.begin("x")
    harness.bus.failNext = Array(repeating: .diskFull, count: 5)
    #expect(harness.finish(turn)?.status == .completed)
    harness.bus.failNext = [.diskFull]
    guard case .failure(let problem) = harness.submit(harness.submission("y")) else {
      Issue.record("a turn that is not on the log was promised")
      return
    }
    #expect(problem.code == .diskFull)
    #expect(problem.retryAfterSeconds != nil)
  }

  /// The log failed with the records on their way: promised is nothing, but the client can ask.
  @Test func anUnknownOutcomeNamesTheTurn() throws {
    let harness = EngineHarness()
    harness.bus.failNext = [.unconfirmed("the sync failed")]
    guard case .failure(let problem) = harness.submit(harness.submission("y")) else {
      Issue.record("a turn that may not be on the log was promised")
      return
    }
    #expect(problem.code == .turnUnconfirmed)
    let turn = try #require(problem.turnID)
    #expect(problem.detail.contains(turn.description))
    #expect(harness.resource(turn) == nil)
  }

  @Test func whenTheLogFailsItsTurnsGoOnElsewhere() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(deltas: ["a "], delay: .seconds(1))]
    let turn = harness.begin("x", session: "s")
    let queued = harness.begin("y", session: "s")
    let client = try #require(harness.attach(turn))
    let waiting = try #require(harness.attach(queued))
    harness.bus.failNext = [.unconfirmed("the sync failed")]
    _ = harness.time.run(until: { client.losses > 0 })
    #expect(client.losses == 1)
    #expect(waiting.losses == 1)
    #expect(client.terminal == nil)
    let calls = harness.world.requests.count
    harness.time.run(for: .seconds(60))
    #expect(harness.world.requests.count == calls, "a lost turn goes on")
    guard case .failure(let problem) = harness.submit(harness.submission("z", session: "s")) else {
      Issue.record("a lost partition took a turn")
      return
    }
    #expect(problem.code == .busUnavailable)
    harness.kill()
    #expect(harness.finish(turn)?.status == .completed)
    #expect(harness.finish(queued)?.status == .completed)
  }

  @Test func idempotencyKeysSurvive() throws {
    let harness = EngineHarness()
    let first = try harness.submit(harness.submission("a", key: "k")).get()
    harness.kill()
    let again = try harness.submit(harness.submission("a", key: "k")).get()
    #expect(again.turnID == first.turnID)
    #expect(again.replayed)
    guard case .failure(let problem) = harness.submit(harness.submission("b", key: "k")) else {
      Issue.record("another body under the same key was taken")
      return
    }
    #expect(problem.code == .idempotencyKeyReused)
    #expect(harness.finish(first.turnID)?.status == .completed)
  }
}
