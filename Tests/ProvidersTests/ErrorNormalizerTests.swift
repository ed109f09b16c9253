// Contract: whatever a vendor says or the network does becomes one code of SURFACE with the right
// `retryable`; its words are kept, keys in them are not.
import Base
import Events
import HTTP
import Providers
import Testing

@Suite struct ErrorNormalizerTests {
  private let normalizer = ErrorNormalizer(provider: "p", secrets: ["my-own-configured-key"])

  struct Row: Sendable, CustomStringConvertible {
    var status: Int
    var body: String
    var code: ErrorCode
    var retryable: Bool

    init(_ status: Int, _ body: String, _ code: ErrorCode, _ retryable: Bool) {
      self.status = status
      self.body = body
      self.code = code
      self.retryable = retryable
    }

    var description: String { "\(status) \(body.prefix(80))" }
  }

  static func error(_ message: String, type: String = "t", code: String = "null") -> String {
    #"{"error":{"message":"\#(message)","type":"\#(type)","param":null,"code":\#(code)}}"#
  }

  static let statuses: [Row] = [
    Row(400, error("bad"), .providerInvalidRequest, false),
    Row(401, error("bad"), .providerAuthentication, false),
    Row(402, error("bad"), .providerQuota, false),
    Row(403, error("bad"), .providerPermission, false),
    Row(404, error("bad"), .providerNotFound, false),
    Row(405, error("bad"), .providerInvalidRequest, false),
    Row(406, error("bad"), .providerInvalidRequest, false),
    Row(407, error("bad"), .providerAuthentication, false),
    Row(408, error("bad"), .providerTimeout, true),
    Row(409, error("lock"), .providerUnavailable, true),
    Row(410, error("gone"), .providerNotFound, false),
    Row(411, "", .providerInvalidRequest, false),
    Row(413, error("too large"), .providerInvalidRequest, false),
    Row(414, "", .providerInvalidRequest, false),
    Row(415, "", .providerInvalidRequest, false),
    Row(418, "teapot", .providerInvalidRequest, false),
    Row(422, error("no"), .providerInvalidRequest, false),
    Row(425, "", .providerUnavailable, true),
    Row(429, error("slow down"), .providerRateLimited, true),
    Row(451, "", .providerPermission, false),
    Row(499, "", .providerInvalidRequest, false),
    Row(500, error("oops"), .providerUnavailable, true),
    Row(501, "", .providerUnavailable, false),
    Row(502, "<html><title>502 Bad Gateway</title></html>", .providerUnavailable, true),
    Row(503, error("busy"), .providerOverloaded, true),
    Row(504, "", .providerTimeout, true),
    Row(505, "", .providerUnavailable, false),
    Row(520, "", .providerUnavailable, true),
    Row(524, "", .providerTimeout, true),
    Row(529, error("Overloaded", type: "overloaded_error"), .providerOverloaded, true),
    Row(301, "", .providerProtocol, true),
    Row(302, "", .providerProtocol, true),
    Row(100, "", .providerProtocol, true),
    Row(600, "", .providerProtocol, true),
  ]

  static let names: [Row] = [
    Row(400, error("x", code: #""context_length_exceeded""#), .contextLength, false),
    Row(400, error("x", type: "exceed_context_size_error"), .contextLength, false),
    Row(400, error("x", code: #""string_above_max_length""#), .contextLength, false),
    Row(400, error("x", code: #""content_filter""#), .contentPolicy, false),
    Row(400, error("x", code: #""content_policy_violation""#), .contentPolicy, false),
    Row(400, error("x", code: #""ResponsibleAIPolicyViolation""#), .contentPolicy, false),
    Row(400, error("x", code: #""invalid_api_key""#), .providerAuthentication, false),
    Row(401, error("x", type: "authentication_error"), .providerAuthentication, false),
    Row(401, error("x", type: "permission_error"), .providerPermission, false),
    Row(400, error("x", code: #""model_not_found""#), .providerNotFound, false),
    Row(404, error("x", type: "not_found_error"), .providerNotFound, false),
    Row(429, error("x", code: #""insufficient_quota""#), .providerQuota, false),
    Row(429, error("x", type: "insufficient_quota"), .providerQuota, false),
    Row(429, error("x", code: #""credit_balance_exhausted""#), .providerQuota, false),
    Row(429, error("x", code: #""billing_hard_limit_reached""#), .providerQuota, false),
    Row(429, error("x", code: #""enforced_spend_limit_reached""#), .providerQuota, false),
    Row(400, error("x", type: "billing_error"), .providerQuota, false),
    Row(429, error("x", code: #""rate_limit_exceeded""#), .providerRateLimited, true),
    Row(400, error("x", type: "rate_limit_error"), .providerRateLimited, true),
    Row(500, error("x", type: "overloaded_error"), .providerOverloaded, true),
    Row(500, error("x", type: "timeout_error"), .providerTimeout, true),
    Row(500, error("x", type: "brand_new_error"), .providerUnavailable, true),
    Row(
      403, #"{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}"#,
      .providerPermission, false),
  ]

  static let words: [Row] = [
    Row(400, error("This model's maximum context length is 8192 tokens"), .contextLength, false),
    Row(400, error("prompt is too long: 9 tokens > 8"), .contextLength, false),
    Row(400, error("the request exceeds the available context size"), .contextLength, false),
    Row(413, error("Please reduce the length of the messages"), .contextLength, false),
    Row(422, error("too many tokens in input"), .contextLength, false),
    Row(500, error("context window exceeded"), .contextLength, false),
    Row(400, error("Your request was rejected by our safety system"), .contentPolicy, false),
    Row(403, error("triggering Azure OpenAI's content management policy"), .contentPolicy, false),
    Row(
      429, error("You exceeded your current quota, please check your plan"), .providerQuota, false),
    Row(403, error("Insufficient credits"), .providerQuota, false),
    Row(429, "plain text: slow down", .providerRateLimited, true),
    Row(400, #"{"detail":"Not allowed"}"#, .providerInvalidRequest, false),
    Row(
      400, #"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, .providerInvalidRequest, false),
    Row(500, #"{"error":"bare string"}"#, .providerUnavailable, true),
    Row(500, #"{"message":"top level"}"#, .providerUnavailable, true),
    Row(400, #"[{"error":{"message":"in an array","code":400}}]"#, .providerInvalidRequest, false),
    Row(503, "", .providerOverloaded, true),
    Row(503, "{", .providerOverloaded, true),
    Row(503, "null", .providerOverloaded, true),
    Row(503, "[]", .providerOverloaded, true),
    Row(500, #"{"error":null}"#, .providerUnavailable, true),
    Row(500, #"{"error":{"message":null,"type":7,"code":"weird"}}"#, .providerUnavailable, true),
  ]

  @Test(arguments: statuses + names + words)
  func answerBecomesCode(_ row: Row) {
    let failure = normalizer.failure(status: row.status, body: Array(row.body.utf8))
    #expect(failure.code == row.code)
    #expect(failure.retryable == row.retryable)
    #expect(failure.message.hasPrefix("p answered \(row.status): "))
  }

  @Test(arguments: [
    (#"{"error":{"message":"the words"}}"#, "p answered 500: the words"),
    (#"{"error":"the words"}"#, "p answered 500: the words"),
    (#"{"message":"the words"}"#, "p answered 500: the words"),
    (#"{"detail":"the words"}"#, "p answered 500: the words"),
    ("the\n  words", "p answered 500: the words"),
    ("  <HTML><Title>Bad\nGateway</title>", "p answered 500: a page of HTML: Bad\nGateway"),
    ("<div>", "p answered 500: a page of HTML"),
    ("", "p answered 500: no reason given"),
    ("{}", "p answered 500: no reason given"),
  ])
  func vendorsWordsAreKept(_ body: String, _ message: String) {
    #expect(normalizer.failure(status: 500, body: Array(body.utf8)).message == message)
  }

  @Test func bytesThatAreNoTextDoNoHarm() {
    let failure = normalizer.failure(status: 502, body: [0xFF, 0xFE, 0x00, 0xC3])
    #expect(failure.code == .providerUnavailable)
  }

  @Test func transportFailures() {
    typealias Case = (TransportFailure, Bool, ErrorCode, Bool)
    let cases: [Case] = [
      (.unreachable("refused"), false, .providerUnavailable, true),
      (.nameUnknown("no such host"), false, .providerUnavailable, true),
      (.untrusted("expired"), false, .providerUnavailable, true),
      (.requestInvalid("no URL"), false, .providerInvalidRequest, false),
      (.timeout(.connect), false, .providerTimeout, true),
      (.timeout(.firstByte), false, .providerTimeout, true),
      (.timeout(.idle), true, .providerTimeout, true),
      (.timeout(.total), true, .providerTimeout, true),
      (.cut("reset"), true, .providerStreamCut, true),
      (.cut("reset"), false, .providerUnavailable, true),
      (.protocolViolation("no HTTP"), false, .providerProtocol, true),
    ]
    for (cause, headSeen, code, retryable) in cases {
      let failure = normalizer.failure(cause, headSeen: headSeen)
      #expect(failure.code == code && failure.retryable == retryable, "\(cause)")
    }
  }

  @Test func errorsInsideAStream() {
    let number: JSON = ["message": "busy", "code": 503]
    #expect(normalizer.failure(inStream: number).code == .providerOverloaded)
    let named: JSON = ["message": "x", "type": "overloaded_error"]
    #expect(normalizer.failure(inStream: named).code == .providerOverloaded)
    let bare: JSON = "something broke"
    let failure = normalizer.failure(inStream: bare)
    #expect(failure.code == .providerUnavailable && failure.retryable)
    #expect(failure.message == "p failed while answering: something broke")
  }

  @Test func configuredKeyIsRemovedWhateverItLooksLike() {
    let body = Self.error("key my-own-configured-key is wrong")
    let failure = normalizer.failure(status: 401, body: Array(body.utf8))
    #expect(failure.message == "p answered 401: key [removed] is wrong")
  }
}
