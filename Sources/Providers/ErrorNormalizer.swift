package import Base
package import Events

/// Turns what a vendor or the network says into the codes of SURFACE. Vendors agree on little:
/// the status decides, unless the body's code or its words name something more exact.
package struct ErrorNormalizer: Sendable {
  /// Bytes of an error body that are read; the rest says nothing new.
  package static let bodyBytesMax = 64 << 10

  private let provider: String
  private let scrubber: SecretScrubber

  /// `secrets` are removed from messages wherever they stand.
  package init(provider: String, secrets: [String] = []) {
    self.provider = provider
    scrubber = SecretScrubber(secrets: secrets)
  }

  /// An answer with a status that is not 2xx.
  package func failure(status: Int, body: [UInt8]) -> TurnFailure {
    let vendor = VendorError(body: body)
    let code = Self.code(status: status, vendor: vendor)
    let words =
      vendor.message.isEmpty ? "no reason given" : scrubber.scrub(vendor.message)
    return TurnFailure(
      code, "\(provider) answered \(status): \(words)", retryable: Self.isRetryable(status, code))
  }

  /// An `error` object inside a stream that began with 200; `status` from its code where it has one.
  package func failure(inStream error: JSON) -> TurnFailure {
    let vendor = VendorError(json: ["error": error])
    let status = vendor.status ?? 500
    let code = Self.code(status: status, vendor: vendor)
    let words = vendor.message.isEmpty ? "no reason given" : scrubber.scrub(vendor.message)
    return TurnFailure(
      code, "\(provider) failed while answering: \(words)",
      retryable: Self.isRetryable(status, code))
  }

  /// A failure of ours to understand, in the provider's name; `detail` may hold its bytes.
  package func failure(_ code: ErrorCode, _ detail: String, retryable: Bool? = nil) -> TurnFailure {
    TurnFailure(code, "\(provider): \(scrubber.scrub(detail))", retryable: retryable)
  }

  private static func isRetryable(_ status: Int, _ code: ErrorCode) -> Bool {
    // 501 and 505 do not change by asking again.
    code.retryable && status != 501 && status != 505
  }

  private static func code(status: Int, vendor: VendorError) -> ErrorCode {
    if let exact = vendor.exactCode(status: status) { return exact }
    switch status {
    case 400, 405, 406, 411, 413, 414, 415, 422: return .providerInvalidRequest
    case 401, 407: return .providerAuthentication
    case 402: return .providerQuota
    case 403, 451: return .providerPermission
    case 404, 410: return .providerNotFound
    case 408, 504, 524: return .providerTimeout
    case 429: return .providerRateLimited
    case 503, 529: return .providerOverloaded
    // A lock, or "too early": gone in a moment.
    case 409, 425, 500...599: return .providerUnavailable
    case 400...499: return .providerInvalidRequest
    // Redirects are not followed, and 1xx or 2xx without content are no answer.
    default: return .providerProtocol
    }
  }
}

/// What an error body says, in any of the shapes vendors use: `{"error":{message,type,code}}`,
/// `{"error":"…"}`, `{"message":…}`, `{"detail":…}`, or text.
struct VendorError {
  private(set) var message = ""
  /// `error.code` and `error.type`, in lower case.
  private var names: [String] = []
  /// A numeric `error.code`, as some relays send it inside a stream.
  private(set) var status: Int?

  init(body: [UInt8]) {
    // What is no JSON is taken as the message itself.
    self.init(json: (try? JSON(parsing: body)) ?? .string(Self.text(of: body)))
  }

  init(json: JSON) {
    // Some relays wrap their answer in an array of one.
    let json = json.array?.first ?? json
    let error = json["error"] ?? json
    message =
      error.string ?? error["message"]?.string ?? json["message"]?.string
      ?? json["detail"]?.string ?? json["detail"]?.text ?? ""
    for name in ["code", "type", "status"] {
      if let text = error[name]?.string { names.append(text.lowercased()) }
    }
    if let number = error["code"]?.int, (400...599).contains(number) { status = Int(number) }
  }

  /// A code that the names or the words settle, whatever the status.
  func exactCode(status: Int) -> ErrorCode? {
    for name in names {
      if let code = Self.codes[name] { return code }
    }
    let words = message.lowercased()
    if status == 400 || status == 413 || status == 422 || status == 500 {
      if Self.lengthPhrases.contains(where: words.contains) { return .contextLength }
    }
    if status == 400 || status == 403 {
      if Self.policyPhrases.contains(where: words.contains) { return .contentPolicy }
    }
    if status == 429 || status == 403 {
      if Self.quotaPhrases.contains(where: words.contains) { return .providerQuota }
    }
    return nil
  }

  /// Names that mean one thing with every vendor. What the status says as well, and more general
  /// names such as `invalid_request_error`, are not listed.
  private static let codes: [String: ErrorCode] = [
    "context_length_exceeded": .contextLength,
    "model_context_window_exceeded": .contextLength,
    "exceed_context_size_error": .contextLength,
    "string_above_max_length": .contextLength,
    "content_filter": .contentPolicy,
    "content_policy_violation": .contentPolicy,
    "responsibleaipolicyviolation": .contentPolicy,
    "insufficient_quota": .providerQuota,
    "credit_balance_exhausted": .providerQuota,
    "billing_error": .providerQuota,
    "billing_hard_limit_reached": .providerQuota,
    "billing_not_active": .providerQuota,
    "enforced_spend_limit_reached": .providerQuota,
    "invalid_api_key": .providerAuthentication,
    "authentication_error": .providerAuthentication,
    "unauthenticated": .providerAuthentication,
    "permission_error": .providerPermission,
    "permission_denied": .providerPermission,
    "model_not_found": .providerNotFound,
    "not_found_error": .providerNotFound,
    "rate_limit_exceeded": .providerRateLimited,
    "rate_limit_error": .providerRateLimited,
    "overloaded_error": .providerOverloaded,
    "server_overloaded": .providerOverloaded,
    "timeout_error": .providerTimeout,
  ]

  private static let lengthPhrases = [
    "maximum context length", "context length exceeded", "context window", "prompt is too long",
    "exceeds the available context size", "too many tokens", "reduce the length of the messages",
    "input is too long",
  ]
  private static let policyPhrases = [
    "content management policy", "content policy", "safety system", "usage policies",
  ]
  private static let quotaPhrases = [
    "exceeded your current quota", "insufficient credit", "credit balance", "spend limit",
    "spending limit", "check your plan and billing",
  ]

  /// A body that is no JSON: its text, or for a page of HTML its title.
  private static func text(of body: [UInt8]) -> String {
    let text = String(decoding: body, as: UTF8.self)
    guard text.utf8.first(where: { $0 > 0x20 }) == UInt8(ascii: "<") else {
      return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
    guard let open = text.range(ofASCII: "<title>"),
      let close = text[open.upperBound...].range(ofASCII: "</title>")
    else { return "a page of HTML" }
    return "a page of HTML: \(text[open.upperBound..<close.lowerBound])"
  }
}

extension StringProtocol {
  /// The first place of `pattern`, compared byte by byte without case for ASCII letters.
  func range(ofASCII pattern: StaticString) -> Range<Index>? {
    let length = pattern.utf8CodeUnitCount
    var start = utf8.startIndex
    while let end = utf8.index(start, offsetBy: length, limitedBy: utf8.endIndex) {
      let matches = zip(utf8[start..<end], 0..<length).allSatisfy { byte, offset in
        let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        return (isUpper ? byte | 0x20 : byte) == pattern.utf8Start[offset]
      }
      if matches { return start..<end }
      guard start < utf8.endIndex else { return nil }
      start = utf8.index(after: start)
    }
    return nil
  }
}
