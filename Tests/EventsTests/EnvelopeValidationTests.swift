// Contract: `Envelope.validate` takes exactly what is strict JSON with the envelope's fields as
// CommonEventEnvelope-v1 describes them, each at most once; the payload may be any value. It says
// what is wrong and where. Of JSONTestSuite it refuses every n_ body as payload and takes every y_
// one; the i_ files are decided by the table below.
import Base
import Events
import Glibc
import TestSupport
import Testing

@Suite struct EnvelopeValidationTests {
  static let whole: [UInt8] = EnvelopeScannerTests.owned.record(
    payload: EnvelopeScannerTests.payload
  ).payload

  static func error(_ bytes: [UInt8]) -> EnvelopeError? {
    bytes.withUnsafeBytes { buffer in
      do throws(EnvelopeError) { try Envelope.validate(buffer) } catch { return error }
      return nil
    }
  }

  static func error(_ text: String) -> EnvelopeError? { error(Array(text.utf8)) }

  /// A valid envelope whose session fits, with `name` set to what `value` is as text.
  static func text(_ name: String, _ value: String?) -> String {
    var members: [(String, String)] = [
      ("event_id", #""01J9Z0A1B2C3D4E5F6G7H8J9K0""#), ("type", #""TurnEvent.v1""#),
      ("spec_version", #""1.0.0""#), ("timestamp", #""2026-02-28T23:59:59.123456Z""#),
      ("trace_id", #""4bf92f3577b34da6a3ce929d0e0e4736""#), ("payload", "{}"),
    ]
    members.removeAll { $0.0 == name }
    if let value { members.insert((name, value), at: members.count / 2) }
    return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ", ") + "}"
  }

  @Test func whatTheNodeWritesIsValid() {
    var envelope = EnvelopeScannerTests.owned
    envelope.sessionID = "s-1"
    let record = envelope.record(payload: EnvelopeScannerTests.payload)
    #expect(Self.error(record.payload) == nil)
    envelope.owner = nil
    #expect(Self.error(envelope.record(payload: Array("{}".utf8)).payload) == nil)
  }

  @Test func everyTruncationIsRefused() {
    let bytes = Array(Self.text("session_id", "\"s\"").utf8)
    #expect(Self.error(bytes) == nil)
    for count in 0..<bytes.count {
      #expect(Self.error(Array(bytes[..<count])) != nil, "of \(count) bytes")
    }
  }

  struct Case: Sendable {
    var name: String
    var good: [String] = []
    var bad: [String] = []
  }

  static let cases = [
    Case(
      name: "event_id", good: [#""7ZZZZZZZZZZZZZZZZZZZZZZZZZ""#],
      bad: [
        "1", "null", #""01J9Z0A1B2C3D4E5F6G7H8J9K""#, #""81J9Z0A1B2C3D4E5F6G7H8J9K0""#,
        #""01j9z0a1b2c3d4e5f6g7h8j9k0""#, #""01J9Z0A1B2C3D4E5F6G7H8J9KU""#,
      ]),
    Case(
      name: "type", good: [#""T.v1""#, #""A9z.v10""#],
      bad: [#""t.v1""#, #""T.v0""#, #""T.v""#, #""T.1""#, #""Tv1""#, #""""#, #""T_.v1""#, "[]"]),
    Case(
      name: "spec_version", good: [#""0.0.0""#, #""10.2.33""#],
      bad: [#""1.0""#, #""1.0.0.0""#, #""01.0.0""#, #""1..0""#, #""1.0.x""#, #""""#, "1.0"]),
    Case(
      name: "timestamp", good: [#""2024-02-29T00:00:00.000000Z""#],
      bad: [
        #""2023-02-29T00:00:00.000000Z""#, #""2024-13-01T00:00:00.000000Z""#,
        #""2024-04-31T00:00:00.000000Z""#, #""2024-01-01T24:00:00.000000Z""#,
        #""2024-01-01T00:00:00Z""#, #""2024-01-01T00:00:00.000000+00:00""#, "0",
      ]),
    Case(
      name: "trace_id", good: [#""00000000000000000000000000000001""#],
      bad: [
        #""00000000000000000000000000000000""#, #""4BF92f3577b34da6a3ce929d0e0e4736""#, #""4bf9""#,
      ]),
    Case(
      name: "tenant_id", good: [#""é""#, "\"\(String(repeating: "🦊", count: 128))\""],
      bad: [#""""#, "\"\(String(repeating: "🦊", count: 129))\"", "null"]),
    Case(
      name: "session_id", good: [#""a.b_c:d~e-9""#, "\"\(String(repeating: "a", count: 512))\""],
      bad: [#""""#, #""a b""#, #""é""#, "\"\(String(repeating: "a", count: 513))\"", "7"]),
    Case(
      name: "traceparent",
      good: [#""00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01""#], bad: [#""00""#, "1"]),
    Case(name: "causation_id", good: [#""01J9Z0A1B2C3D4E5F6G7H8J9K0""#], bad: [#""x""#]),
    Case(name: "correlation_id", good: [#""x""#], bad: [#""""#, "1"]),
    Case(name: "attempt", good: ["0", "1.0", "1e2"], bad: ["-1", "1.5", #""1""#]),
    Case(
      name: "enc", good: [#"{"alg":"a","key_id":"k","nonce":"n"}"#],
      bad: ["{}", #"{"alg":"a","key_id":"","nonce":"n"}"#, "1"]),
    Case(name: "dataref", good: [#""sha256:1""#], bad: [#""""#]),
    Case(name: "payload", good: ["{}", "[]", "1", "null", #""x""#, #"{"a":1,"a":2}"#]),
    Case(name: "stranger", good: ["{}", "1", #""x""#]),
  ]

  @Test(arguments: cases) func fieldsAreHeldToTheirForms(_ item: Case) {
    for value in item.good {
      let error = Self.error(Self.text(item.name, value))
      #expect(error == nil, "\(item.name) \(value): \(error?.description ?? "")")
    }
    for value in item.bad {
      let error = Self.error(Self.text(item.name, value))
      #expect(error?.pointer == "/\(item.name)", "\(item.name) \(value)")
      guard case .fieldInvalid(let expected) = error?.kind else {
        Issue.record("\(item.name) \(value): \(error?.description ?? "taken")")
        continue
      }
      #expect(error?.description.contains(expected) == true)
    }
  }

  @Test(arguments: ["event_id", "type", "spec_version", "timestamp", "trace_id", "payload"])
  func whatMustBeThereIsNamed(_ name: String) {
    let error = Self.error(Self.text(name, nil))
    #expect(error == EnvelopeError(.fieldMissing, pointer: "/\(name)"))
    let twice = Self.text(name, nil).dropLast() + ", \"\(name)\": 1, \"\(name)\": 1}"
    #expect(Self.error(String(twice)) != nil)
  }

  @Test func aFieldOfTheEnvelopeIsGivenOnceAndPlainly() {
    let text = Self.text("session_id", "\"s\"")
    let twice = text.dropLast() + #", "session_id": "t"}"#
    #expect(Self.error(String(twice)) == EnvelopeError(.fieldRepeated, pointer: "/session_id"))
    let escaped = text.dropLast() + #", "session\u005fid": "t"}"#
    #expect(Self.error(String(escaped)) == EnvelopeError(.nameEscaped, pointer: "/session_id"))
    let stranger = text.dropLast() + #", "str\u0061nger": 1, "x": 1, "x": 2}"#
    #expect(Self.error(String(stranger)) == nil)
  }

  @Test func anOwnerIsWholeOrNotThere() throws {
    var envelope = EnvelopeScannerTests.owned
    envelope.sessionID = "s"
    let object = try #require(
      try JSON(parsing: envelope.record(payload: Array("{}".utf8)).payload).object)
    for name in ["owner_epoch", "owner_claim", "in", "fold_version"] {
      var damaged = object
      damaged[name] = nil
      #expect(
        Self.error(JSON.object(damaged).encoded)
          == EnvelopeError(.fieldMissing, pointer: "/\(name)"))
      damaged[name] = "x"
      #expect(Self.error(JSON.object(damaged).encoded)?.pointer == "/\(name)")
    }
    var offsets = object
    offsets["in"] = ["requests": 1, "control": -1]
    #expect(Self.error(JSON.object(offsets).encoded)?.pointer == "/in")
  }

  @Test func whatIsNoJSONSaysWhere() {
    let error = Self.error("{\"payload\":\n[1,]}")
    guard case .malformed(let json) = error?.kind else {
      Issue.record("\(error?.description ?? "taken")")
      return
    }
    #expect(json.line == 2 && json.column == 4 && error?.pointer == "/payload/1")
    #expect(Self.error("[]")?.kind == .noObject)
    #expect(Self.error("")?.description.contains("line 1") == true)
    let long = [UInt8](repeating: 0x20, count: Envelope.bytesMax + 1)
    #expect(Self.error(long)?.kind == .tooLarge(Envelope.bytesMax))
  }
}

@Suite(
  .enabled(
    if: getenv("KFM_TEST_CORPORA") != nil,
    "skipped: JSONTestSuite as payloads; KFM_TEST_CORPORA names no folder of corpora"))
struct EnvelopeCorpusTests {
  /// Of the files RFC 8259 leaves open, those that are taken: numbers that round, and nothing else.
  static let taken = [
    "i_number_double_huge_neg_exp.json", "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json", "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
  ]

  @Test func everyBodyIsJudgedAsPayloadAndAlone() throws {
    let folder = String(cString: getenv("KFM_TEST_CORPORA")) + "/json/test_parsing"
    let names = TestFiles.names(folder).filter { $0.hasSuffix(".json") }
    var counts: [Character: Int] = [:]
    for name in names {
      let body = TestFiles.bytes("\(folder)/\(name)")
      counts[name.first!, default: 0] += 1
      let isTaken = name.first == "y" || Self.taken.contains(name)
      #expect(body.withUnsafeBytes { JSONText.isValid($0) } == isTaken, "\(name)")
      for place in 0..<3 {
        let error = EnvelopeValidationTests.error(Self.envelope(payload: body, at: place))
        #expect((error == nil) == isTaken, "\(name) at \(place): \(error?.description ?? "taken")")
      }
    }
    #expect(counts == ["y": 95, "n": 188, "i": 35])
  }

  /// The payload first, between the others, or last.
  static func envelope(payload: [UInt8], at place: Int) -> [UInt8] {
    var members = [
      #""event_id":"01J9Z0A1B2C3D4E5F6G7H8J9K0","type":"TurnEvent.v1""#,
      #""spec_version":"1.0.0","timestamp":"2026-02-28T23:59:59.123456Z""#
        + #","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736""#,
    ].map { Array($0.utf8) }
    members.insert(Array("\"payload\":".utf8) + payload, at: place)
    return Array("{".utf8) + members.joined(separator: Array(",".utf8)) + Array("}".utf8)
  }
}
