// Contract (SURFACE): `kfm ask` puts the answer on standard output and everything else on standard
// error; its exit code says how the turn ended; a connection that breaks is attached again where it
// broke; a node that is not there is named with the way to start one.
// Not shown here: ^C and real sockets (NodeTests).
import Base
import Commands
import HTTP
import Testing

@Suite struct AskCommandTests {
  static func run(
    _ reply: FakeReply, _ words: [String] = ["ask", "hello"]
  ) -> ProgramRun.Outcome {
    var run = ProgramRun()
    run.answer = { _ in reply }
    return run.run(words)
  }

  @Test func theAnswerAloneIsOnStandardOutput() {
    let outcome = Self.run(
      FakeReply(
        pieces: EventText.turn(
          answer: ["Hel", "lo"], more: ["sources": [["document": "a.md", "score": 0.5]]])))
    #expect(outcome.exitCode == .ok)
    #expect(outcome.output == "Hello\n")
    #expect(outcome.errors.contains("a.md"))
    #expect(outcome.errors.contains("11 tokens in, 3 tokens out"))
    #expect(outcome.errors.contains("cost unknown"))
  }

  @Test func aCostOfNothingIsNoUnknownCost() {
    let receipt: JSON = ["tokens_in": 1, "tokens_out": 1, "cost_micros": 0, "currency": "USD"]
    let outcome = Self.run(
      FakeReply(pieces: EventText.turn(answer: ["x"], more: ["receipt": receipt])))
    #expect(outcome.errors.contains("cost 0.000000 USD"))
  }

  @Test func theRequestHasWhatWasTyped() throws {
    var run = ProgramRun()
    var seen: [HTTPClientRequest] = []
    run.environment["KFM_TOKEN"] = "secret"
    run.input = "from a pipe\n"
    run.answer = {
      seen.append($0)
      return FakeReply(pieces: EventText.turn(answer: ["x"]))
    }
    let outcome = run.run(
      "ask", "-", "--session", "s", "--personality=p", "--model", "a/b")
    #expect(outcome.exitCode == .ok)
    let request = try #require(seen.first)
    #expect(request.url == "http://127.0.0.1:8080/v1/turns")
    #expect(request.method == .post)
    #expect(request.fields.contains(HTTPField("Authorization", "Bearer secret")))
    #expect(request.fields.contains(HTTPField("Accept", "text/event-stream")))
    let body = try request.body.withUnsafeBytes { try JSON(parsing: $0) }
    #expect(
      body == [
        "user_message": "from a pipe", "session_id": "s", "personality_id": "p", "model": "a/b",
      ])
  }

  @Test func jsonIsTheTerminalAlone() throws {
    for end in ["turn.completed", "turn.failed"] {
      let reply = FakeReply(
        pieces: EventText.turn(
          answer: ["x"], end: end, more: ["error": ["code": "internal", "message": "m"]]))
      let outcome = Self.run(reply, ["ask", "--json", "hello"])
      let value = try JSON(parsing: outcome.output)
      #expect(value["event"]?.string == end)
      #expect(value["turn_id"]?.string == "T")
      #expect(outcome.output.filter { $0 == "\n" }.count == 1)
      #expect(outcome.exitCode == (end == "turn.completed" ? .ok : .turnFailed))
    }
  }

  @Test func theEndDecidesTheExitCode() {
    let cases: [(String, String, ExitCode)] = [
      ("turn.failed", "provider_timeout", .turnFailed),
      ("turn.cancelled", "cancelled", .turnFailed),
      ("turn.cancelled", "deadline_exceeded", .deadline),
    ]
    for (event, code, expected) in cases {
      let reply = FakeReply(
        pieces: EventText.turn(
          answer: [], end: event, more: ["error": ["code": .string(code), "message": "why"]]))
      let outcome = Self.run(reply)
      #expect(outcome.exitCode == expected)
      #expect(outcome.errors.contains("\(code): why"))
    }
  }

  @Test func aRefusalDecidesTheExitCode() {
    let cases: [(Int, String, ExitCode)] = [
      (401, "unauthenticated", .unauthorised), (403, "forbidden", .unauthorised),
      (503, "node_draining", .unreachable), (422, "field_invalid", .failed),
      (409, "session_busy", .failed), (429, "queue_full", .failed), (500, "internal", .failed),
    ]
    for (status, code, expected) in cases {
      let outcome = Self.run(.problem(status, code, "because of \(code)"))
      #expect(outcome.exitCode == expected)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.contains("because of \(code)"))
    }
  }

  @Test func withoutANodeItSaysHowToStartOne() {
    let outcome = Self.run(.gone)
    #expect(outcome.exitCode == .unreachable)
    #expect(outcome.errors.contains("kfm serve"))
  }

  @Test func aBrokenConnectionIsAttachedAgainWhereItBroke() throws {
    let events = EventText.turn(answer: ["Hel", "lo"])
    var run = ProgramRun()
    var seen: [HTTPClientRequest] = []
    run.answer = { request in
      seen.append(request)
      return seen.count == 1
        ? FakeReply(pieces: Array(events[..<2]), end: .failure(.cut("gone")))
        : FakeReply(pieces: Array(events[2...]))
    }
    let outcome = run.run("ask", "hello")
    #expect(outcome.exitCode == .ok)
    #expect(outcome.output == "Hello\n")
    #expect(seen.count == 2)
    #expect(seen[1].url.hasSuffix("/v1/turns/T/events"))
    #expect(seen[1].fields.contains(HTTPField("Last-Event-ID", "65536.2")))
  }

  @Test func onATerminalAResetIsABreakAndANotice() {
    var run = ProgramRun()
    run.outputIsTerminal = true
    run.answer = { _ in
      FakeReply(pieces: [
        EventText.event("turn.accepted", "65536.1", ["turn_id": "T"]),
        EventText.event("delta", "65536.2", ["turn_id": "T", "step_id": "S", "text": "He"]),
        EventText.event("reset", "131072.2", ["turn_id": "T", "discard_from": 2]),
        EventText.event("delta", "131072.3", ["turn_id": "T", "step_id": "S", "text": "Ho"]),
        EventText.event(
          "turn.completed", "131072.4", ["turn_id": "T", "step_id": "S", "answer": "Ho"]),
      ])
    }
    let outcome = run.run("ask", "hello")
    #expect(outcome.output == "He\nHo\n")
    #expect(outcome.errors.contains("void"))
  }

  @Test func anAnswerCannotDriveTheTerminal() {
    let answer = "a\u{1B}]0;title\u{07}\r\u{9B}2J\tb\nü"
    for isTerminal in [true, false] {
      var run = ProgramRun()
      run.outputIsTerminal = isTerminal
      run.answer = { _ in FakeReply(pieces: EventText.turn(answer: [answer])) }
      let shown = "a\u{FFFD}]0;title\u{FFFD}\u{FFFD}\u{FFFD}2J\tb\nü\n"
      #expect(run.run("ask", "hello").output == (isTerminal ? shown : answer + "\n"))
    }
  }

  @Test func whoeverClosesThePipeHadEnough() {
    var run = ProgramRun()
    run.outputFailure = .closed
    run.answer = { _ in FakeReply(pieces: EventText.turn(answer: ["x"])) }
    #expect(run.run("ask", "hello").exitCode == .ok)
  }

  @Test func aFullDiskUnderTheOutputIsAFailure() {
    var run = ProgramRun()
    run.outputFailure = .failed(code: 28)
    run.answer = { _ in FakeReply(pieces: EventText.turn(answer: ["x"])) }
    let outcome = run.run("ask", "hello")
    #expect(outcome.exitCode == .notWritable)
    #expect(outcome.errors.contains("No space left"))
  }

  @Test func aQuestionMustBeThere() {
    var run = ProgramRun()
    run.input = "\n\n"
    #expect(run.run("ask", "-").exitCode == .usage)
  }

  @Test func anAddressThatIsNoneIsUsage() {
    var run = ProgramRun()
    run.environment["KFM_URL"] = "localhost:8080"
    let outcome = run.run("ask", "hello")
    #expect(outcome.exitCode == .usage)
    #expect(outcome.errors.contains("KFM_URL"))
  }
}
