import Base
import Events
import Gateway
import Testing

/// Contract: SURFACE's body of `POST /v1/turns`, strictly: what is accepted arrives in the
/// submission, everything else is one problem with its code and pointer, the same one every time.
@Suite struct TurnRequestDecoderTests {
  /// A body and the code and pointer it is refused with.
  struct Refusal: CustomTestStringConvertible {
    var body: String
    var code: ErrorCode
    var pointer: String?

    init(_ body: String, _ code: ErrorCode, _ pointer: String?) {
      self.body = body
      self.code = code
      self.pointer = pointer
    }

    var testDescription: String { String(body.prefix(60)) }
  }

  private static func with(_ field: String) -> String { #"{"user_message":"x",\#(field)}"# }
  private static func schema(_ text: String) -> String { with(#""response_schema":\#(text)"#) }

  static let malformed: [Refusal] = [
    "", " ", "{", "}", "{\"user_message\": \"x\"", "{\"user_message\": \"x\"}}", "nul", "{'a':1}",
    "{\"user_message\":\"x\",}", "{\"user_message\":\"\u{1}\"}", "{\"user_message\":\"\\ud800\"}",
    "{\"user_message\":01}", "// x", "\u{FEFF}{\"user_message\":\"x\"}",
    String(repeating: "[", count: 65) + String(repeating: "]", count: 65),
    String(repeating: "[", count: 100_000),
  ].map { Refusal($0, .jsonMalformed, nil) }

  static let shapes: [Refusal] = [
    Refusal("[]", .fieldInvalid, ""), Refusal("\"x\"", .fieldInvalid, ""),
    Refusal("7", .fieldInvalid, ""), Refusal("null", .fieldInvalid, ""),
    Refusal("{}", .fieldMissing, "/user_message"),
    Refusal(#"{"user_message":"a","user_message":"b"}"#, .fieldInvalid, "/user_message"),
    Refusal(with(#""metadata":{"a":1,"a":2}"#), .fieldInvalid, "/metadata/a"),
    Refusal(with(#""mesage":1"#), .fieldUnknown, "/mesage"),
    Refusal(with(#""a/b~c":1"#), .fieldUnknown, "/a~1b~0c"),
    Refusal(with(#""":1"#), .fieldUnknown, "/"),
    Refusal(with(#""User_message":"y""#), .fieldUnknown, "/User_message"),
    Refusal(with(#""callback":"http://127.0.0.1:9/x""#), .fieldUnsupported, "/callback"),
    Refusal(with(#""callback":null"#), .fieldUnsupported, "/callback"),
    Refusal(with(#""budget":{"tokens":1}"#), .fieldUnsupported, "/budget"),
  ]

  private static func message(_ text: String, _ code: ErrorCode, _ pointer: String) -> Refusal {
    Refusal(#"{"user_message":\#(text)}"#, code, pointer)
  }

  static let messages: [Refusal] = [
    message("7", .fieldInvalid, "/user_message"), message("null", .fieldInvalid, "/user_message"),
    message("true", .fieldInvalid, "/user_message"), message("{}", .fieldInvalid, "/user_message"),
    message("\"\"", .fieldInvalid, "/user_message"), message("[]", .fieldInvalid, "/user_message"),
    message("[\"x\"]", .fieldInvalid, "/user_message/0"),
    message("[{}]", .fieldMissing, "/user_message/0/type"),
    message(#"[{"text":"a"}]"#, .fieldMissing, "/user_message/0/type"),
    message(#"[{"type":"text"}]"#, .fieldMissing, "/user_message/0/text"),
    message(#"[{"type":"text","text":""}]"#, .fieldInvalid, "/user_message/0/text"),
    message(#"[{"type":"text","text":7}]"#, .fieldInvalid, "/user_message/0/text"),
    message(#"[{"type":"text","text":"a","b":1}]"#, .fieldUnknown, "/user_message/0/b"),
    message(#"[{"type":7,"text":"a"}]"#, .fieldInvalid, "/user_message/0/type"),
    message(#"[{"type":"video"}]"#, .fieldInvalid, "/user_message/0/type"),
    message(#"[{"type":"image","url":"u"}]"#, .fieldUnsupported, "/user_message/0/type"),
    message(
      #"[{"type":"text","text":"a"},{"type":"file_ref","id":"f"}]"#, .fieldUnsupported,
      "/user_message/1/type"
    ),
  ]

  static let sessions: [Refusal] = [
    "\"\"", "7", "null", "{\"a\":1}", "\"a b\"", "\"a\\u0000b\"", "\"é\"", "\"a~b\"", "\"a/b\"",
    "\"\(String(repeating: "a", count: 129))\"", "\"\(String(repeating: "a", count: 10_000))\"",
  ].map { Refusal(with(#""session_id":\#($0)"#), .fieldInvalid, "/session_id") }

  static let choices: [Refusal] = [
    Refusal(with(#""personality_id":7"#), .fieldInvalid, "/personality_id"),
    Refusal(with(#""personality_id":"nobody""#), .personalityNotFound, "/personality_id"),
    Refusal(with(#""personality_id":"broken""#), .personalityNotFound, "/personality_id"),
    Refusal(with(#""personality_id":"""#), .personalityNotFound, "/personality_id"),
    Refusal(with(#""model":7"#), .fieldInvalid, "/model"),
    Refusal(with(#""model":"nobody/none""#), .modelNotFound, "/model"),
    Refusal(with(#""model":"""#), .modelNotFound, "/model"),
  ]

  static let times: [Refusal] =
    ["\"soon\"", "7", "null", "\"0s\"", "\"-1s\"", "\"1.5s\"", "\"1 s\"", "\"1S\"", "\"1000000d\""]
    .map { Refusal(with(#""timeout":\#($0)"#), .fieldInvalid, "/timeout") }
    + ["\"soon\"", "7", "\"2026-11-25\"", "\"2026-02-30T00:00:00Z\"", "\"2026-11-25T22:10:21\""]
    .map { Refusal(with(#""deadline":\#($0)"#), .fieldInvalid, "/deadline") }
    + [
      Refusal(
        with(#""deadline":"2026-11-25T22:10:21Z","timeout":"1s""#), .fieldInvalid, "/timeout")
    ]

  static let schemas: [Refusal] = [
    Refusal(schema(#"{"type":7}"#), .schemaInvalid, "/response_schema/type"),
    Refusal(schema("7"), .schemaInvalid, "/response_schema"),
    Refusal(
      schema(#"{"type":"object","unevaluatedItems":{}}"#), .schemaKeywordUnsupported,
      "/response_schema/unevaluatedItems"),
    Refusal(
      schema(#"{"properties":{"a/b":{"dependentSchemas":{}}}}"#), .schemaKeywordUnsupported,
      "/response_schema/properties/a~1b/dependentSchemas"),
    Refusal(
      schema(#"{"title":"\#(String(repeating: "t", count: 65_536))"}"#), .schemaInvalid,
      "/response_schema"),
  ]

  static let metadata: [Refusal] = [
    Refusal(with(#""metadata":7"#), .fieldInvalid, "/metadata"),
    Refusal(with(#""metadata":[]"#), .fieldInvalid, "/metadata"),
    Refusal(
      with(#""metadata":{"a":"\#(String(repeating: "m", count: 16_384))"}"#), .fieldInvalid,
      "/metadata"),
  ]

  @Test(
    arguments: malformed + shapes + messages + sessions + choices + times + schemas + metadata)
  func refuses(_ refusal: Refusal) {
    let problem = failure(of: Array(refusal.body.utf8))
    #expect(problem?.code == refusal.code)
    #expect(problem?.pointer == refusal.pointer)
  }

  @Test func malformedJSONHasItsPlace() {
    #expect(failure(of: Array("{\n  \"a\": tru }".utf8))?.detail.hasPrefix("line 2, ") == true)
    #expect(failure(of: Array(#"{"user_message":""#.utf8) + [0xFF])?.code == .jsonMalformed)
  }

  /// With several faults the first of the order is told: names, then SURFACE's order of fields.
  @Test func theOrderOfFaultsIsFixed() {
    var faults: [(String, String)] = [
      (#""nosuch":1"#, "/nosuch"), (#""session_id":7"#, "/session_id"),
      (#""personality_id":7"#, "/personality_id"), (#""user_message":7"#, "/user_message"),
      (#""model":7"#, "/model"), (#""response_schema":7"#, "/response_schema"),
      (#""deadline":7"#, "/deadline"), (#""timeout":7"#, "/timeout"),
      (#""metadata":7"#, "/metadata"),
    ]
    while let (_, pointer) = faults.first {
      let hasMessage = faults.contains { $0.1 == "/user_message" }
      let fields = faults.map(\.0) + (hasMessage ? [] : [#""user_message":"x""#])
      let body = "{\(fields.reversed().joined(separator: ","))}"
      #expect(failure(of: Array(body.utf8))?.pointer == pointer)
      faults.removeFirst()
    }
  }

  @Test func aPlainMessageIsASubmission() throws {
    let submission = try decode(#"{"user_message":"Hello, 東京"}"#)
    #expect(submission.userMessage == "Hello, 東京")
    #expect(submission.principal == .local)
    #expect(submission.traceID == Self.trace)
    #expect(submission.personalityID == "archivist")
    #expect(submission.sessionID == nil)
    #expect(submission.deadline == nil)
    #expect(submission.idempotencyKey == nil)
  }

  @Test func everyFieldArrives() throws {
    let submission = try decode(
      #"""
      {"session_id":"A-z.0_:9","personality_id":"minimal","model":"scripted/m","timeout":"1500ms",
       "user_message":[{"type":"text","text":"one"},{"text":"two","type":"text"}],
       "response_schema":{"type":"object"},"metadata":{"k":[1]}}
      """#, keys: ["key 1"])
    #expect(submission.sessionID == "A-z.0_:9")
    #expect(submission.personalityID == "minimal")
    #expect(submission.model == "scripted/m")
    #expect(submission.deadline == StillClock.now.adding(.milliseconds(1_500)))
    #expect(submission.userMessage == "one\ntwo")
    #expect(submission.responseSchema == ["type": "object"])
    #expect(submission.metadata == ["k": [1]])
    #expect(submission.idempotencyKey == "key 1")
  }

  @Test func aPastDeadlineIsAccepted() throws {
    let submission = try decode(Self.with(#""deadline":"1999-01-01T00:00:00+01:00""#))
    #expect(submission.deadline == Timestamp(rfc3339: "1998-12-31T23:00:00Z"))
  }

  @Test func limitsAreInclusive() throws {
    let session = String(repeating: "s", count: 128)
    #expect(try decode(Self.with(#""session_id":"\#(session)""#)).sessionID == session)
    let text = String(repeating: "m", count: TurnRequestDecoder.metadataBytesMax - 8)
    #expect(try decode(Self.with(#""metadata":{"a":"\#(text)"}"#)).metadata?["a"]?.string == text)
  }

  /// The digest is of the value, not of its spelling.
  @Test func theDigestIsCanonical() throws {
    let one = try decode(#"{"user_message":"é","metadata":{"b":1,"a":2.0}}"#)
    let other = try decode(#"{ "metadata":{"a":2,"b":1},"user_message":"\u00e9" }"#)
    let third = try decode(#"{"user_message":"é","metadata":{"b":1,"a":3}}"#)
    #expect(one.bodyDigest == other.bodyDigest)
    #expect(one.bodyDigest != third.bodyDigest)
    #expect(one.bodyDigest.utf8.count == 64)
  }

  @Test(arguments: [
    [""], [String(repeating: "k", count: 256)], ["é"], ["a\tb"], ["a", "a"], ["a", "b"],
  ])
  func refusesAnIdempotencyKey(keys: [String]) {
    let problem = failure(of: Array(#"{"user_message":"x"}"#.utf8), keys: keys)
    #expect(problem?.code == .fieldInvalid)
    #expect(problem?.pointer == nil)
    #expect(problem?.detail.contains("Idempotency-Key") == true)
  }

  @Test func withoutADefaultThePersonalityMustBeNamed() throws {
    let personalities = FakePersonalities()
    personalities.defaultID = nil
    #expect(
      failure(of: Array(#"{"user_message":"x"}"#.utf8), personalities: personalities)?.code
        == .personalityNotFound)
  }

  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

  private func decode(
    _ bytes: [UInt8], keys: [String], _ personalities: FakePersonalities
  ) throws(Problem) -> TurnSubmission {
    let decoder = TurnRequestDecoder(personalities: personalities, providers: FakeProviders())
    let result = bytes.withUnsafeBytes { body -> Result<TurnSubmission, Problem> in
      let request = TurnRequest(
        principal: .local, traceID: Self.trace, idempotencyKeys: keys, body: body)
      do throws(Problem) {
        return .success(try decoder.decode(request, now: StillClock.now))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func decode(_ body: String, keys: [String] = []) throws -> TurnSubmission {
    try decode(Array(body.utf8), keys: keys, FakePersonalities())
  }

  private func failure(
    of body: [UInt8], keys: [String] = [], personalities: FakePersonalities = FakePersonalities()
  ) -> Problem? {
    do throws(Problem) {
      _ = try decode(body, keys: keys, personalities)
      return nil
    } catch {
      return error
    }
  }
}
