// The contract: a submitted turn runs to exactly one terminal; what its stream shows is in order
// and without holes; a session's turns run one after the other and know each other; every record
// of the way is on the bus. Virtual time and a scripted world: this says nothing about disks,
// sockets or real models.

import AgentEngine
import Base
import Events
import Testing

@Suite struct TurnTests {
  @Test func plainTurnShowsEveryHopInOrder() throws {
    let harness = EngineHarness()
    let turn = harness.begin("hi")
    let probe = try #require(harness.attach(turn))
    let resource = try #require(harness.finish(turn))
    #expect(resource.status == .completed)
    #expect(probe.names.first == "turn.accepted")
    #expect(
      probe.names.filter { $0 != "delta" } == [
        "turn.accepted", "plan", "step.started", "step.finished", "turn.completed",
      ])
    #expect(probe.broken.isEmpty)
    #expect(probe.text == "Hello world")
    #expect(probe.terminal?.data["answer"]?.string == "Hello world")
    #expect(resource.terminal["answer"]?.string == "Hello world")
    let receipt = try #require(resource.terminal["receipt"])
    #expect(receipt["tokens_in"]?.int == 11)
    #expect(receipt["cost_micros"]?.isNull == true)
  }

  @Test func everyTopicHasItsRecords() throws {
    let harness = EngineHarness()
    let turn = harness.begin("hi")
    _ = harness.finish(turn)
    harness.time.run()
    let id = turn.description
    func types(_ topic: Topic) -> [String] {
      harness.bus.events(topic).filter { $0["payload"]?["turn_id"]?.string == id }
        .compactMap { $0["type"]?.string }
    }
    #expect(types(.turnsRequests) == ["TurnEvent.v1"])
    #expect(types(.plans) == ["PlanEvent.v1"])
    #expect(types(.stepsRequests) == ["StepEvent.v1"])
    #expect(types(.stepsResults) == ["StepResultEvent.v1"])
    #expect(
      types(.journal) == [
        "TurnAccepted.v1", "PlanDecided.v1", "StepStarted.v1", "StepFinished.v1", "TurnEnded.v1",
      ])
    let responses = harness.bus.events(.turnsResponses).compactMap {
      $0["payload"]?["event"]?.string
    }
    #expect(responses.first == "turn.accepted")
    #expect(responses.last == "turn.completed")
  }

  @Test func nothingIsShownBeforeItsEndIsSettled() throws {
    let harness = EngineHarness()
    let turn = harness.begin("hi")
    let probe = try #require(harness.attach(turn))
    harness.bus.commitDelay = .seconds(30)
    _ = harness.time.run(within: .seconds(20), until: { probe.names.contains("step.finished") })
    #expect(probe.names.contains("step.finished"))
    harness.time.run(for: .seconds(5))
    #expect(probe.terminal == nil)
    #expect(harness.resource(turn)?.status == .running)
    _ = harness.time.run(within: .seconds(100), until: { probe.terminal != nil })
    #expect(probe.terminal?.name == "turn.completed")
  }

  @Test func turnsOfASessionRunInOrderAndKnowEachOther() throws {
    let harness = EngineHarness()
    harness.world.replies = (1...4).map { ScriptedReply(deltas: ["answer \($0)"]) }
    let turns = (1...4).map { harness.begin("question \($0)", session: "s") }
    for turn in turns { #expect(harness.finish(turn)?.status == .completed) }
    #expect(harness.world.requests.count == 4)
    for (index, request) in harness.world.requests.enumerated() {
      let said = request.messages.dropFirst().map(\.text)
      let wanted = (1...4).prefix(index).flatMap { ["question \($0)", "answer \($0)"] }
      #expect(said == wanted + ["question \(index + 1)"])
    }
  }

  @Test func aFullQueueRefusesAndTakesNothing() throws {
    var options = EngineOptions()
    options.queueMax = 2
    let harness = EngineHarness(options: options)
    var taken = 0
    var refused: [ErrorCode] = []
    for index in 0..<6 {
      switch harness.submit(harness.submission("\(index)", session: "full")) {
      case .success: taken += 1
      case .failure(let problem): refused.append(problem.code)
      }
    }
    #expect(taken == 3)
    #expect(refused == [.queueFull, .queueFull, .queueFull])
    #expect(harness.bus.events(.turnsRequests).count == 3)
  }

  @Test func toolsRunBetweenModelCalls() throws {
    let harness = EngineHarness()
    let call = ToolCall(id: "c1", name: "look", arguments: "{\"q\":1}")
    harness.world.replies = [
      ScriptedReply(deltas: [], toolCalls: [call]), ScriptedReply(deltas: ["done"]),
    ]
    let turn = harness.begin("use it", personality: "tooled")
    let probe = try #require(harness.attach(turn))
    #expect(harness.finish(turn)?.terminal["answer"]?.string == "done")
    let kinds = probe.standing.filter { $0.name == "step.started" }
      .compactMap { $0.data["step_type"]?.string }
    #expect(kinds == ["llm", "tool", "llm"])
    let second = harness.world.requests[1].messages
    #expect(second.last?.role == .tool)
    #expect(second.last?.text == "tool says look")
    #expect(second.last?.toolCallID == "c1")
  }

  @Test func aWrongToolCallIsToldToTheModel() throws {
    let harness = EngineHarness()
    let wrong = [
      ToolCall(id: "a", name: "nosuch", arguments: "{}"),
      ToolCall(id: "b", name: "look", arguments: "{\"q\":"),
      ToolCall(id: "c", name: "look", arguments: "{\"other\":1}"),
    ]
    harness.world.replies = [
      ScriptedReply(deltas: [], toolCalls: wrong), ScriptedReply(deltas: ["sorry"]),
    ]
    let turn = harness.begin("use it", personality: "tooled")
    #expect(harness.finish(turn)?.status == .completed)
    #expect(harness.world.toolRuns.isEmpty)
    let told = harness.world.requests[1].messages.filter { $0.role == .tool }
    #expect(told.map(\.toolCallID) == ["a", "b", "c"])
    #expect(told.allSatisfy { $0.text.contains("error") })
  }

  @Test func endlessToolRoundsEnd() throws {
    var options = EngineOptions()
    options.toolRoundsMax = 3
    let harness = EngineHarness(options: options)
    harness.world.replies = (0..<10).map {
      ScriptedReply(deltas: [], toolCalls: [ToolCall(id: "c\($0)", name: "look", arguments: "{}")])
    }
    let turn = harness.begin("loop", personality: "tooled")
    let end = try #require(harness.finish(turn))
    #expect(end.terminal["error"]?["code"]?.string == "steps_exhausted")
    #expect(harness.world.toolRuns.count == 3)
  }

  @Test func structuredOutputIsRepairedOnceOrFails() throws {
    let schema: JSON = [
      "type": "object", "properties": ["n": ["type": "integer"]], "required": ["n"],
    ]
    let cases: [([String], String, Int)] = [
      (["{\"n\":1}"], "completed", 1), (["```json\n{\"n\":1}\n```"], "completed", 1),
      (["nonsense", "{\"n\":2}"], "completed", 2), (["nonsense", "{\"n\":\"x\"}"], "failed", 2),
    ]
    for (answers, status, calls) in cases {
      let harness = EngineHarness()
      harness.world.replies = answers.map { ScriptedReply(deltas: [$0]) }
      let turn = harness.begin("give", schema: schema)
      let end = try #require(harness.finish(turn))
      #expect(end.status.rawValue == status, "\(answers)")
      #expect(harness.world.requests.count == calls)
      #expect((end.terminal["output"]?["n"]?.int != nil) == (status == "completed"))
      if status == "failed" {
        #expect(end.terminal["error"]?["code"]?.string == "response_schema_violation")
      }
    }
  }

  @Test func groundedTurnsNameTheirSources() throws {
    let harness = EngineHarness()
    harness.world.passages = [
      Passage(
        document: "a/b.md", heading: "H", text: "the passage text", score: 0.8, chunkID: "c")
    ]
    let turn = harness.begin("why", personality: "learned")
    let end = try #require(harness.finish(turn))
    #expect(end.terminal["sources"]?.array?.first?["document"]?.string == "a/b.md")
    #expect(harness.world.requests[0].messages[0].text.contains("the passage text"))
  }

  @Test func aRestartedCallVoidsWhatItShowed() throws {
    let harness = EngineHarness()
    harness.world.replies = [ScriptedReply(deltas: ["one ", "two "], restartAfter: 1)]
    let turn = harness.begin("cut")
    let probe = try #require(harness.attach(turn))
    #expect(harness.finish(turn)?.status == .completed)
    #expect(probe.broken.isEmpty)
    #expect(probe.text == "one two ")
    #expect(probe.names.contains("reset"))
    #expect(probe.standing.last?.position.attempt == 65_537)
  }

  @Test func failuresOfTheProviderEndTheTurn() throws {
    let harness = EngineHarness()
    harness.world.replies = [
      ScriptedReply(failure: TurnFailure(.providerAuthentication, "no key"))
    ]
    let end = try #require(harness.finish(harness.begin("x")))
    #expect(end.status == .failed)
    #expect(end.terminal["error"]?["code"]?.string == "provider_authentication")
    #expect(end.terminal["error"]?["retryable"]?.bool == false)
  }
}
