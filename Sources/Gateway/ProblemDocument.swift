import Base
package import Events

/// A refusal as RFC 9457 has it: `application/problem+json` with SURFACE's members.
package struct ProblemDocument: Sendable {
  package static let contentType = "application/problem+json"
  /// What 429 and 503 tell a client to wait when nobody knows better.
  package static let retryAfterSecondsDefault = 1

  package let status: Int
  package let code: ErrorCode
  package let body: [UInt8]
  /// Value of the Retry-After header.
  package let retryAfterSeconds: Int?

  package init(_ problem: Problem, traceID: String) {
    // Codes without a status end turns; one that gets here is a fault of the node.
    let status = problem.code.status ?? 500
    self.status = status
    code = problem.code
    retryAfterSeconds =
      problem.retryAfterSeconds
      ?? (status == 429 || status == 503 ? Self.retryAfterSecondsDefault : nil)
    var writer = JSONWriter(reserving: 320)
    writer.beginObject()
    writer.member("type", "urn:kfm:problem:\(code.rawValue)")
    writer.member("title", Self.title(of: code))
    writer.member("status", status)
    writer.member("code", code.rawValue)
    writer.member("detail", problem.detail)
    writer.member("trace_id", traceID)
    writer.name("retryable")
    writer.bool(code.retryable)
    if let pointer = problem.pointer { writer.member("pointer", pointer) }
    if let turnID = problem.turnID { writer.member("turn_id", turnID.description) }
    writer.endObject()
    body = writer.bytes
  }

  /// `turn_not_found` → `Turn not found`.
  private static func title(of code: ErrorCode) -> String {
    let words = String(code.rawValue.map { $0 == "_" ? " " : $0 })
    return words.prefix(1).uppercased() + words.dropFirst()
  }
}
