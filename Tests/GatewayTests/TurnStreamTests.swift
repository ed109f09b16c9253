import Base
import Events
import Gateway
import TestSupport
import Testing
import UringIO

/// Contract: a turn's events reach the client exactly as the engine gave them, in SSE, until the
/// terminal; a client that goes, or does not keep up, lets go of the engine (SEMANTICS D20, D23).
@Suite struct TurnStreamTests {
  @Test func eventsAreFramedExactly() throws {
    try GatewayHarness.run { node in
      let (client, attachment) = try node.events()
      #expect(client.head?.status == 200)
      #expect(client.head?.fields["content-type"] == "text/event-stream")
      #expect(client.head?.fields["cache-control"] == "no-cache")
      attachment.subscriber?.receive([
        event("turn.accepted", 1, #"{"turn_id":"t"}"#), event("delta", 2, #"{"text":"a\nb"}"#),
      ])
      attachment.subscriber?.receive([
        StreamEvent(name: "reset", position: nil, data: Array(#"{"discard_from":1}"#.utf8)),
        event("turn.completed", 3, "{}"),
      ])
      #expect(node.until { client.answer != nil })
      #expect(
        client.answer?.text == """
          id: 65536.1
          event: turn.accepted
          data: {"turn_id":"t"}

          id: 65536.2
          event: delta
          data: {"text":"a\\nb"}

          event: reset
          data: {"discard_from":1}

          id: 65536.3
          event: turn.completed
          data: {}


          """)
      #expect(!attachment.isCancelled)
      #expect(node.metricsText.contains("kfm_streams_open 0\n"))
      client.close()
    }
  }

  @Test(arguments: ["turn.completed", "turn.failed", "turn.cancelled", "turn.merged"])
  func everyTerminalEndsTheStream(name: String) throws {
    try GatewayHarness.run { node in
      let (client, attachment) = try node.events()
      attachment.subscriber?.receive([event(name, 1, "{}")])
      #expect(node.until { client.answer != nil })
      // The connection goes on with its next request.
      #expect(!client.isClosed)
      client.close()
    }
  }

  @Test func attachingPassesThePositionOn() throws {
    try GatewayHarness.run { node in
      let path = "/v1/turns/\(FakeTurns.turnID)/events"
      for sent in [nil, "65536.3", "x", ""] as [String?] {
        let count = node.turns.attachments.count
        let client = try node.open("GET", path, nil, sent.map { ["Last-Event-ID": $0] } ?? [:])
        #expect(node.until { node.turns.attachments.count > count })
        #expect(node.turns.attachments[count].lastEventID == sent)
        #expect(node.turns.attachments[count].turnID == FakeTurns.turnID)
        client.close()
      }
    }
  }

  @Test func aHeadIsAnsweredAndLeavesNothing() throws {
    try GatewayHarness.run { node in
      let client = try node.open("HEAD", "/v1/turns/\(FakeTurns.turnID)/events")
      #expect(node.until { client.head != nil })
      #expect(client.head?.status == 200)
      #expect(node.turns.attachments[0].isCancelled)
      client.send("GET", "/health/live")
      #expect(node.until { client.text.hasSuffix(#"{"status":"ok"}"#) })
      client.close()
    }
  }

  /// Data of several lines, which an engine does not send, is framed as the standard has it.
  @Test func linesOfDataStayLines() throws {
    try GatewayHarness.run { node in
      let (client, attachment) = try node.events()
      attachment.subscriber?.receive([event("turn.failed", 1, "{\n}")])
      #expect(node.until { client.answer != nil })
      #expect(client.answer?.text == "id: 65536.1\nevent: turn.failed\ndata: {\ndata: }\n\n")
      client.close()
    }
  }

  @Test func afterTheTerminalThereIsNothing() throws {
    try GatewayHarness.run { node in
      node.turns.terminalID = "65536.9"
      let answer = try node.ask(
        "GET", "/v1/turns/\(FakeTurns.turnID)/events", nil, ["Last-Event-ID": "65536.9"])
      #expect(answer.status == 204)
    }
  }

  @Test func aProblemOfAttachingIsADocument() throws {
    try GatewayHarness.run { node in
      node.turns.attachProblem = Problem(.turnNotFound, "no such turn")
      let answer = try node.ask("GET", "/v1/turns/\(FakeTurns.turnID)/events")
      #expect(answer.status == 404)
      #expect(answer.code == "turn_not_found")
    }
  }

  @Test func silenceIsFilledWithComments() throws {
    try GatewayHarness.run { node in
      let (client, _) = try node.events()
      for count in 1...3 {
        node.clock.leap(.seconds(15))
        #expect(
          node.until {
            client.chunkText == String(repeating: ": keep-alive\n\n", count: count)
          })
      }
      client.close()
    }
  }

  /// Both policies of `engine.on_disconnect`.
  @Test(arguments: [false, true])
  func aClientThatGoesLetsGoOfTheEngine(cancels: Bool) throws {
    var options = GatewayOptions()
    options.cancelsOnDisconnect = cancels
    try GatewayHarness.run(options: options) { node in
      let (client, attachment) = try node.events()
      client.close()
      #expect(node.until { attachment.isCancelled })
      #expect(node.turns.cancelled == (cancels ? [FakeTurns.turnID] : []))
    }
  }

  @Test func aClientThatGoesBeforeTheTurnIsDurable() throws {
    var options = GatewayOptions()
    options.cancelsOnDisconnect = true
    try GatewayHarness.run(options: options) { node in
      node.turns.holdsSubmissions = true
      let client = try node.open(
        "POST", "/v1/turns", #"{"user_message":"x"}"#, ["Accept": "text/event-stream"])
      #expect(node.until { !node.turns.submissions.isEmpty })
      client.close()
      for _ in 0..<50 { node.loop.runOnce() }
      node.turns.release()
      // A client that only ended its sending side would still read, so only the reset that
      // answers what is sent tells that it is gone.
      var sequence: UInt64 = 0
      #expect(
        node.until {
          sequence += 1
          node.turns.attachments.first?.subscriber?.receive([event("delta", sequence, "{}")])
          return node.turns.cancelled == [FakeTurns.turnID]
        })
    }
  }

  /// A watcher is not the one who asked.
  @Test func aWatcherThatGoesCancelsNothing() throws {
    var options = GatewayOptions()
    options.cancelsOnDisconnect = true
    try GatewayHarness.run(options: options) { node in
      let client = try node.open("GET", "/v1/turns/\(FakeTurns.turnID)/events")
      #expect(node.until { client.head != nil })
      client.close()
      #expect(node.until { node.turns.attachments[0].isCancelled })
      #expect(node.turns.cancelled.isEmpty)
    }
  }

  @Test func aSlowClientIsCutAndCounted() throws {
    var options = GatewayOptions()
    options.cancelsOnDisconnect = true
    try GatewayHarness.run(options: options) { node in
      let (client, attachment) = try node.events()
      client.pause()
      let data = Array("{\"text\":\"\(String(repeating: "x", count: 60_000))\"}".utf8)
      var sequence: UInt64 = 0
      while !attachment.isCancelled, sequence < 1_000 {
        sequence += 1
        attachment.subscriber?.receive([
          StreamEvent(
            name: "delta", position: StreamPosition(attempt: 1, sequence: sequence), data: data)
        ])
        node.loop.runOnce()
      }
      #expect(attachment.isCancelled)
      #expect(node.metricsText.contains("kfm_streams_overrun_total 1\n"))
      // It can come back: being slow is no wish to stop.
      #expect(node.turns.cancelled.isEmpty)
      client.close()
    }
  }

  @Test func stoppingCutsWhatHasNotEnded() throws {
    try GatewayHarness.run { node in
      let (client, attachment) = try node.events()
      var isStopped = false
      node.gateway.stop { isStopped = true }
      #expect(node.until { isStopped && client.isClosed })
      #expect(client.answer == nil)
      #expect(attachment.isCancelled)
      client.close()
    }
  }

  private func event(_ name: String, _ sequence: UInt64, _ data: String) -> StreamEvent {
    StreamEvent(
      name: name, position: StreamPosition(attempt: 65_536, sequence: sequence),
      data: Array(data.utf8))
  }
}
