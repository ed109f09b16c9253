import Base
import Events
import Gateway
import Glibc
import Observability
import Testing
import UringIO

/// Contract: SURFACE's routes over real sockets: status, shapes, problem documents, local access.
/// The engine is scripted, so what a turn does is not shown here.
@Suite struct GatewayServerTests {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  private static let message = #"{"user_message":"x"}"#

  @Test func aTurnIsAccepted() throws {
    try GatewayHarness.run { node in
      let answer = try node.ask(
        "POST", "/v1/turns", Self.message,
        ["traceparent": "00-\(Self.trace)-00f067aa0ba902b7-01", "Idempotency-Key": "k"])
      #expect(answer.status == 202)
      #expect(answer.fields["location"] == "/v1/turns/\(FakeTurns.turnID)")
      #expect(answer.fields["content-type"] == "application/json")
      #expect(answer.fields["idempotency-replayed"] == nil)
      #expect(
        answer.json == [
          "turn_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "session_id": "s", "status": "queued",
          "links": [
            "self": "/v1/turns/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "events": "/v1/turns/01ARZ3NDEKTSV4RRFFQ69G5FAV/events",
          ],
        ])
      #expect(node.turns.submissions[0].traceID == Self.trace)
      #expect(node.turns.submissions[0].idempotencyKey == "k")
    }
  }

  @Test func aReplaySaysSo() throws {
    try GatewayHarness.run { node in
      node.turns.admission = .success(
        TurnAdmission(turnID: FakeTurns.turnID, sessionID: "s", replayed: true))
      let answer = try node.ask("POST", "/v1/turns", Self.message)
      #expect(answer.status == 202)
      #expect(answer.fields["idempotency-replayed"] == "true")
      let (client, _) = try node.events()
      #expect(client.head?.fields["idempotency-replayed"] == "true")
      client.close()
    }
  }

  /// Nothing is answered before the turn is durable, neither as 202 nor as a stream.
  @Test(arguments: ["application/json", "text/event-stream"])
  func nothingIsAnsweredBeforeTheTurnIsDurable(accept: String) throws {
    try GatewayHarness.run { node in
      node.turns.holdsSubmissions = true
      let client = try node.open("POST", "/v1/turns", Self.message, ["Accept": accept])
      #expect(node.until { !node.turns.submissions.isEmpty })
      for _ in 0..<20 { node.loop.runOnce() }
      #expect(client.head == nil)
      node.turns.release()
      #expect(node.until { client.head != nil })
      client.close()
    }
  }

  /// A stream is given to who names its type, and JSON to everybody else.
  @Test(arguments: [
    ("text/event-stream", true), ("application/json, Text/Event-Stream;q=0.5", true),
    ("*/*", false), ("text/*", false), ("text/event-streams", false), ("", false),
    ("text/event-stream;q=0", false), ("application/json, text/event-stream; q=0.000", false),
    ("text/event-stream; q=0.001", true),
  ])
  func theTypeOfAnswerIsNegotiated(accept: String, isStream: Bool) throws {
    try GatewayHarness.run { node in
      let client = try node.open("POST", "/v1/turns", Self.message, ["Accept": accept])
      #expect(node.until { client.head != nil })
      #expect(client.head?.status == (isStream ? 200 : 202))
      client.close()
    }
  }

  @Test(arguments: ErrorCode.allCases.filter { $0.status != nil })
  func everyRefusalOfTheEngineKeepsItsStatus(code: ErrorCode) throws {
    try GatewayHarness.run { node in
      node.turns.admission = .failure(Problem(code, "why"))
      for accept in ["*/*", "text/event-stream"] {
        let answer = try node.ask("POST", "/v1/turns", Self.message, ["Accept": accept])
        #expect(answer.status == code.status)
        #expect(answer.code == code.rawValue)
        #expect(answer.fields["content-type"] == "application/problem+json")
        #expect(answer.json["trace_id"]?.string?.utf8.count == 32)
        #expect((answer.fields["retry-after"] != nil) == [429, 503].contains(answer.status))
      }
      #expect(node.metrics.requestsRefused[code.rawValue].value == 2)
    }
  }

  struct Refusal: CustomTestStringConvertible {
    var method = "POST"
    var path = "/v1/turns"
    var body: String?
    var fields: [String: String] = [:]
    var status: Int
    var code: ErrorCode
    var testDescription: String { "\(method) \(path) \(fields)" }
  }

  static let refusals: [Refusal] = [
    Refusal(body: "{", status: 400, code: .jsonMalformed),
    Refusal(body: "", status: 400, code: .jsonMalformed),
    Refusal(status: 400, code: .jsonMalformed),
    Refusal(body: "{}", status: 422, code: .fieldMissing),
    Refusal(
      body: message, fields: ["Content-Type": "text/plain"], status: 415,
      code: .contentTypeUnsupported),
    Refusal(
      body: message, fields: ["Content-Type": "application/jsonx"], status: 415,
      code: .contentTypeUnsupported),
    Refusal(body: message, fields: ["Host": "evil.example"], status: 403, code: .hostForbidden),
    Refusal(body: message, fields: ["Origin": "null"], status: 403, code: .originForbidden),
    Refusal(
      body: message, fields: ["Origin": "http://evil.example"], status: 403, code: .originForbidden),
    Refusal(
      method: "GET", path: "/health/live", fields: ["Host": "evil.example"], status: 403,
      code: .hostForbidden),
    Refusal(
      method: "GET", path: "/nosuch", fields: ["Host": "evil.example"], status: 403,
      code: .hostForbidden),
    Refusal(
      method: "GET", path: "http://evil.example/metrics", status: 403, code: .hostForbidden),
    Refusal(method: "GET", path: "/v1/nosuch", status: 404, code: .routeNotFound),
    Refusal(path: "/v1/turns/01ARZ3NDEKTSV4RRFFQ69G5FAV/fork", status: 404, code: .routeNotFound),
    Refusal(method: "DELETE", status: 405, code: .methodNotAllowed),
    Refusal(
      method: "GET", path: "/v1/turns/01ARZ3NDEKTSV4RRFFQ69G5FAV", status: 404, code: .turnNotFound),
    Refusal(method: "GET", path: "/v1/turns/..%2f..%2fetc", status: 404, code: .turnNotFound),
    Refusal(method: "GET", path: "/v1/turns/x/events", status: 404, code: .turnNotFound),
    Refusal(path: "/v1/turns/x/cancel", status: 404, code: .turnNotFound),
    Refusal(
      path: "/v1/turns/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel", body: #"{"why":1}"#, status: 422,
      code: .fieldUnknown),
    Refusal(
      path: "/v1/turns/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel", body: "[]", status: 422,
      code: .fieldInvalid),
    Refusal(
      method: "GET", path: "/v1/sessions/never-seen/history", status: 404, code: .sessionNotFound),
    Refusal(method: "GET", path: "/v1/turns?limit=0", status: 422, code: .fieldInvalid),
    Refusal(method: "GET", path: "/v1/turns?limit=101", status: 422, code: .fieldInvalid),
    Refusal(method: "GET", path: "/v1/turns?limit=%2B1", status: 422, code: .fieldInvalid),
    Refusal(method: "GET", path: "/v1/turns?cursor=x", status: 422, code: .fieldInvalid),
    Refusal(method: "GET", path: "/v1/turns?limit=1&limit=2", status: 422, code: .fieldInvalid),
    Refusal(method: "GET", path: "/v1/turns?page=2", status: 422, code: .fieldUnknown),
    Refusal(
      method: "GET", path: "/v1/admin/topics/agent/nosuch/records", status: 404,
      code: .routeNotFound),
    Refusal(
      method: "GET", path: "/v1/admin/topics/agent/agent.journal/records?from=middle", status: 422,
      code: .fieldInvalid),
    Refusal(
      method: "GET", path: "/v1/admin/topics/agent/agent.journal/records?count=0", status: 422,
      code: .fieldInvalid),
    Refusal(
      method: "GET", path: "/v1/admin/topics/agent/agent.journal/records?follow=1", status: 422,
      code: .fieldInvalid),
  ]

  @Test(arguments: refusals)
  func refuses(_ refusal: Refusal) throws {
    try GatewayHarness.run { node in
      let answer = try node.ask(refusal.method, refusal.path, refusal.body, refusal.fields)
      #expect(answer.status == refusal.status)
      #expect(answer.code == refusal.code.rawValue)
      #expect(answer.fields["content-type"] == "application/problem+json")
      #expect(answer.json["type"]?.string == "urn:kfm:problem:\(refusal.code.rawValue)")
      #expect((answer.fields["allow"] != nil) == (refusal.status == 405))
      let logged = node.ring.drain().filter { $0.message == "request refused" }
      #expect(logged.count == 1)
      #expect(logged.first?.traceID == answer.json["trace_id"]?.string)
      #expect(node.metrics.requestsRefused[refusal.code.rawValue].value == 1)
      #expect(node.turns.submissions.isEmpty)
    }
  }

  struct RawRefusal: CustomTestStringConvertible {
    var what: String
    var raw: String
    var status: Int
    var code: String
    var testDescription: String { what }
  }

  static let rawRefusals: [RawRefusal] = [
    RawRefusal(
      what: "no Host", raw: "GET /health/live HTTP/1.1\r\n\r\n", status: 400,
      code: "request_malformed"),
    RawRefusal(
      what: "two Hosts", raw: "GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
      status: 400, code: "request_malformed"),
    RawRefusal(
      what: "bare LF", raw: "GET /health/live HTTP/1.1\nHost: localhost\n\n", status: 400,
      code: "request_malformed"),
    RawRefusal(
      what: "a long header",
      raw: "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 100_000))\r\n\r\n",
      status: 431, code: "headers_too_large"),
    RawRefusal(
      what: "a large body",
      raw: "POST /v1/turns HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
      status: 413, code: "body_too_large"),
  ]

  /// What the parser refuses is a problem document too, and counted.
  @Test(arguments: rawRefusals)
  func theParsersRefusalsAreProblems(_ refusal: RawRefusal) throws {
    try GatewayHarness.run { node in
      let client = TestClient(loop: node.loop)
      client.connect(to: node.address)
      #expect(node.until { client.isConnected })
      client.send(raw: refusal.raw)
      #expect(node.until { client.answer != nil && client.isClosed })
      #expect(client.answer?.status == refusal.status)
      #expect(client.answer?.code == refusal.code)
      #expect(client.answer?.fields["content-type"] == "application/problem+json")
      #expect(node.metrics.requestsRefused[refusal.code].value == 1)
      client.close()
    }
  }

  @Test func theNamesMayChangeWhileItRuns() throws {
    var options = GatewayOptions()
    options.allowedHosts = ["one.example"]
    // Spelled out: `try` inside macros alone does not make a closure throw.
    try GatewayHarness.run(options: options) { (node: GatewayHarness) throws in
      #expect(try status(node, "one.example") == 200)
      #expect(try status(node, "two.example") == 403)
      node.gateway.allow(hosts: ["two.example"], origins: [])
      #expect(try status(node, "one.example") == 403)
      #expect(try status(node, "two.example") == 200)
      #expect(try status(node, "127.0.0.1:1") == 200)
    }
  }

  @Test func theUnixSocketKnowsNoHostRule() throws {
    let path = "/tmp/kfm-gateway-\(getpid()).sock"
    try GatewayHarness.run(unixSocketPath: path) { node in
      var status = stat()
      #expect(stat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600)
      let answer = try node.ask(
        "GET", "/health/live", nil, ["Host": "whatever", "Origin": "null"], to: .unix(path: path))
      #expect(answer.status == 200)
    }
    #expect(access(path, F_OK) != 0)
  }

  @Test func aTurnIsShownAndCancelled() throws {
    try GatewayHarness.run { node in
      node.turns.resources = [Self.resource(FakeTurns.turnID, .running)]
      let path = "/v1/turns/\(FakeTurns.turnID)"
      #expect(try node.ask("GET", path).json["status"] == "running")
      let running = try node.ask("POST", path + "/cancel", "{}")
      #expect(running.status == 202)
      #expect(running.json["turn_id"]?.string == FakeTurns.turnID.description)
      node.turns.hadEnded = true
      #expect(try node.ask("POST", path + "/cancel").status == 200)
      #expect(node.turns.cancelled == [FakeTurns.turnID, FakeTurns.turnID])
    }
  }

  @Test func turnsAreListedInPages() throws {
    try GatewayHarness.run { node in
      let ids = (1...5).reversed().map { ULID(value: UInt128($0)) }
      node.turns.resources = ids.map { Self.resource($0, .completed) }
      var seen: [String] = []
      var path: String? = "/v1/turns?limit=2"
      var pages = 0
      while let current = path {
        let page = try node.ask("GET", current).json
        seen += page["items"]?.array?.compactMap { $0["turn_id"]?.string } ?? []
        path = page["next_cursor"]?.string.map { "/v1/turns?limit=2&cursor=\($0)" }
        pages += 1
      }
      #expect(seen == ids.map(\.description))
      #expect(pages == 3)
    }
  }

  @Test func sessionsAndPersonalitiesAreShown() throws {
    try GatewayHarness.run { node in
      func item(_ role: ChatMessage.Role, _ turn: UInt128, _ text: String) -> HistoryItem {
        HistoryItem(
          turnID: ULID(value: turn), role: role, content: text, status: .completed,
          createdAt: Timestamp(microseconds: Int64(turn)))
      }
      node.turns.histories["a~b"] = [
        item(.user, 1, "q"), item(.assistant, 1, "a"), item(.user, 2, "r"),
      ]
      let history = try node.ask("GET", "/v1/sessions/a~b/history").json["items"]?.array
      #expect(history?.map { $0["content"] } == ["q", "a", "r"])
      #expect(history?[1]["role"] == "assistant")
      let page = try node.ask("GET", "/v1/sessions/a~b/history?limit=2").json
      #expect(page["items"]?.array?.map { $0["content"] } == ["q", "a"])
      let cursor = try #require(page["next_cursor"]?.string)
      let rest = try node.ask("GET", "/v1/sessions/a~b/history?cursor=\(cursor)").json
      #expect(rest["items"]?.array?.map { $0["content"] } == ["r"])
      #expect(rest["next_cursor"] == nil)
      for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=x", "before=1"] {
        #expect(try node.ask("GET", "/v1/sessions/a~b/history?\(wrong)").status == 422)
      }
      let session = try node.ask("GET", "/v1/sessions/a~b").json
      #expect(session["session_id"] == "a~b")
      #expect(session["turns"] == 2)
      let items = try node.ask("GET", "/v1/personalities").json["items"]?.array
      #expect(items?.map { $0["personality_id"] } == ["archivist", "minimal"])
      #expect(items?.allSatisfy { $0["status"] == "ok" } == true)
    }
  }

  @Test func healthTellsReadiness() throws {
    try GatewayHarness.run { node in
      #expect(try node.ask("GET", "/health/ready").status == 200)
      node.providers.reachable = [("a", true, ""), ("b", false, "refused")]
      let warned = try node.ask("GET", "/health/ready")
      #expect(warned.status == 200)
      #expect(warned.json["status"] == "warn")
      #expect(warned.json["checks"]?["provider.b"] == ["status": "warn", "detail": "refused"])
      node.providers.reachable = [("b", false, "refused")]
      let failed = try node.ask("GET", "/health/ready")
      #expect(failed.status == 503)
      #expect(failed.json["checks"]?["provider.b"]?["status"] == "fail")
      #expect(try node.ask("GET", "/health/live").status == 200)
    }
  }

  @Test func metricsAreRendered() throws {
    try GatewayHarness.run { node in
      node.bus.put(TopicPartition(.turnsRequests, 1), at: 0, "x")
      let answer = try node.ask("GET", "/metrics")
      #expect(answer.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
      let lines = answer.text.split(separator: "\n")
      #expect(
        lines.contains(
          #"kfm_bus_lag_messages{topic="agent.turns.requests",partition="1",group="engine"} 1"#))
      #expect(lines.contains("# TYPE kfm_turns_total counter"))
      #expect(lines.contains("kfm_http_requests_total 1"))
    }
  }

  @Test func drainingRefusesTurnsOnly() throws {
    try GatewayHarness.run { node in
      let (client, attachment) = try node.events()
      node.gateway.beginDrain()
      let refused = try node.ask("POST", "/v1/turns", Self.message)
      #expect(refused.status == 503)
      #expect(refused.code == "node_draining")
      #expect(refused.fields["retry-after"] != nil)
      #expect(try node.ask("GET", "/health/ready").status == 503)
      #expect(try node.ask("GET", "/v1/turns").status == 200)
      attachment.subscriber?.receive([
        StreamEvent(
          name: "turn.completed", position: StreamPosition(attempt: 1, sequence: 1),
          data: Array("{}".utf8))
      ])
      #expect(node.until { client.answer != nil })
      client.close()
    }
  }

  @Test func topicsAreListedAndRead() throws {
    try GatewayHarness.run { node in
      let rows = try node.ask("GET", "/v1/admin/topics").json["items"]?.array
      #expect(rows?.map { $0["topic"] } == ["agent.turns.requests", "agent.calls"])
      #expect(try node.ask("GET", "/v1/admin/lag").json["items"]?.array?.count == 4)
      for partition in 0..<3 {
        for time in 0..<500 {
          node.bus.put(
            TopicPartition(.journal, partition), at: Int64(time), String(repeating: "x", count: 900)
          )
        }
      }
      let path = "/v1/admin/topics/agent/agent.journal/records"
      let all = try node.ask("GET", path)
      #expect(all.status == 200)
      #expect(all.fields["content-type"] == "application/x-ndjson")
      #expect(all.body.split(separator: 0x0A).count == 1_500)
      let last = try node.ask("GET", path + "?from=last&count=2").body.split(separator: 0x0A)
      #expect(try last.map { try JSON(parsing: Array($0))["offset"] } == [499, 499])
      node.bus.failure = .damaged("a frame")
      #expect(try node.ask("GET", path).code == "bus_unavailable")
    }
  }

  @Test func aTopicIsFollowedUntilTheClientGoes() throws {
    try GatewayHarness.run { node in
      let path = "/v1/admin/topics/agent/agent.journal/records?from=last&follow=true"
      let client = try node.open("GET", path)
      #expect(node.until { client.head != nil })
      node.bus.put(TopicPartition(.journal, 2), at: 1, "x")
      #expect(node.until { client.chunkText.hasSuffix("}\n") })
      #expect(node.bus.watchCount == 4)
      client.close()
      #expect(node.until { node.bus.watchCount == 0 })
    }
  }

  private func status(_ node: GatewayHarness, _ host: String) throws -> Int {
    try node.ask("GET", "/health/live", nil, ["Host": host]).status
  }

  private static func resource(_ id: ULID, _ status: TurnStatus) -> TurnResource {
    TurnResource(
      turnID: id, sessionID: "s", personalityID: "p", status: status,
      createdAt: Timestamp(microseconds: 0))
  }
}
