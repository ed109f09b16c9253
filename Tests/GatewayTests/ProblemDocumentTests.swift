import Base
import Events
import Gateway
import Testing

/// Contract: every refusal is an RFC 9457 document with SURFACE's members and its code's status.
@Suite struct ProblemDocumentTests {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

  @Test(arguments: ErrorCode.allCases.filter { $0.status != nil })
  func everyCodeHasItsStatus(code: ErrorCode) throws {
    let document = ProblemDocument(Problem(code, "why", pointer: "/a"), traceID: Self.trace)
    #expect(document.status == code.status)
    let json = try JSON(parsing: document.body)
    #expect(json["type"]?.string == "urn:kfm:problem:\(code.rawValue)")
    #expect(json["status"]?.int == code.status.map(Int64.init))
    #expect(json["code"]?.string == code.rawValue)
    #expect(json["detail"]?.string == "why")
    #expect(json["trace_id"]?.string == Self.trace)
    #expect(json["retryable"]?.bool == code.retryable)
    #expect(json["pointer"]?.string == "/a")
    #expect((document.retryAfterSeconds != nil) == [429, 503].contains(document.status))
  }

  /// A code that only ends turns is the node's fault when it is told about a request.
  @Test(arguments: ErrorCode.allCases.filter { $0.status == nil })
  func codesWithoutStatusAre500(code: ErrorCode) throws {
    let document = ProblemDocument(Problem(code, "why"), traceID: Self.trace)
    #expect(document.status == 500)
    #expect(try JSON(parsing: document.body)["status"]?.int == 500)
  }

  @Test func thePointerIsLeftOutOrEmptyAsGiven() throws {
    func pointer(_ pointer: String?) throws -> JSON? {
      let problem = Problem(.fieldInvalid, "why", pointer: pointer)
      return try JSON(parsing: ProblemDocument(problem, traceID: "t").body)["pointer"]
    }
    #expect(try pointer(nil) == nil)
    #expect(try pointer("") == "")
  }

  @Test func theTurnInQuestionIsNamed() throws {
    let turn = ULID(value: 7)
    let document = ProblemDocument(
      Problem(.turnUnconfirmed, "", turnID: turn), traceID: "")
    #expect(try JSON(parsing: document.body)["turn_id"]?.string == turn.description)
    let other = ProblemDocument(Problem(.overloaded, ""), traceID: "")
    #expect(try JSON(parsing: other.body)["turn_id"] == nil)
  }

  @Test func theEnginesRetryAfterIsKept() {
    let problem = Problem(.diskFull, "why", retryAfterSeconds: 30)
    #expect(ProblemDocument(problem, traceID: "t").retryAfterSeconds == 30)
  }

  @Test func theTitleIsReadable() throws {
    let document = ProblemDocument(Problem(.turnNotFound, "why"), traceID: "t")
    #expect(try JSON(parsing: document.body)["title"]?.string == "Turn not found")
  }
}
