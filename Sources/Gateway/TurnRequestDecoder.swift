package import Base
package import Events

/// `POST /v1/turns` as it arrived.
package struct TurnRequest {
  package var principal: Principal
  /// 32 lower-case hexadecimal digits.
  package var traceID: String
  /// All values of the `Idempotency-Key` header.
  package var idempotencyKeys: [String]
  package var body: UnsafeRawBufferPointer

  package init(
    principal: Principal, traceID: String, idempotencyKeys: [String] = [],
    body: UnsafeRawBufferPointer
  ) {
    self.principal = principal
    self.traceID = traceID
    self.idempotencyKeys = idempotencyKeys
    self.body = body
  }
}

/// Turns a request into a submission, or into the one problem that is told: JSON first, then the
/// names of fields in the order they were written, then each field in the order of SURFACE, then
/// headers. What is not built is refused by name, never ignored.
package struct TurnRequestDecoder {
  /// Bytes of `metadata` as compact JSON: it stands in every record of the request.
  package static let metadataBytesMax = 16 << 10
  /// Characters of a session id.
  package static let sessionIDLengthMax = 128
  /// Characters of an Idempotency-Key.
  package static let idempotencyKeyLengthMax = 255
  /// Parts of one message.
  package static let partsMax = 256

  private static let fields: Set<String> = [
    "session_id", "personality_id", "user_message", "model", "response_schema", "deadline",
    "timeout", "metadata",
  ]
  /// Fields of SURFACE that this version does not have.
  private static let fieldsUnbuilt: Set<String> = ["budget", "callback"]

  private let personalities: any PersonalityCatalog
  private let providers: any ProviderInterface

  package init(personalities: any PersonalityCatalog, providers: any ProviderInterface) {
    self.personalities = personalities
    self.providers = providers
  }

  /// `now` is what a `timeout` is counted from.
  package func decode(_ request: TurnRequest, now: Timestamp) throws(Problem) -> TurnSubmission {
    let object = try RequestBody.object(request.body)
    try Self.checkNames(object)
    let sessionID = try Self.sessionID(object["session_id"])
    let personality = try personality(object["personality_id"])
    var submission = TurnSubmission(
      principal: request.principal, sessionID: sessionID, personalityID: personality.id,
      userMessage: try UserMessage.text(of: object["user_message"]), traceID: request.traceID)
    submission.model = try model(object["model"], route: personality.languageModel.route)
    submission.responseSchema = try Self.responseSchema(object["response_schema"])
    submission.deadline = try Self.deadline(object, now: now)
    submission.metadata = try Self.metadata(object["metadata"])
    submission.idempotencyKey = try Self.idempotencyKey(request.idempotencyKeys)
    submission.bodyDigest = SHA256Digest(of: JSON.object(object).canonical).description
    return submission
  }

  private static func checkNames(_ object: JSONObject) throws(Problem) {
    for name in object.names where !fields.contains(name) {
      let pointer = "/" + JSONPointer.escape(name)
      if fieldsUnbuilt.contains(name) {
        throw Problem(
          .fieldUnsupported, "'\(name)' is not in this version; leave it out", pointer: pointer)
      }
      throw Problem(
        .fieldUnknown,
        "there is no such field; known are \(fields.sorted().joined(separator: ", "))",
        pointer: pointer)
    }
  }
}

// MARK: - Fields

extension TurnRequestDecoder {
  private static func sessionID(_ value: JSON?) throws(Problem) -> String? {
    guard let value else { return nil }
    guard let text = value.string, isSessionID(text) else {
      throw Problem(
        .fieldInvalid,
        "expected 1 to \(sessionIDLengthMax) characters of A-Z a-z 0-9 . _ : -",
        pointer: "/session_id")
    }
    return text
  }

  private static func isSessionID(_ text: String) -> Bool {
    (1...sessionIDLengthMax).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: ":"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  private func personality(_ value: JSON?) throws(Problem) -> Personality {
    let pointer = "/personality_id"
    guard let value else {
      if let personality = personalities.defaultPersonality { return personality }
      throw Problem(
        .personalityNotFound, "the node serves no personality; `kfm packs list` says why",
        pointer: pointer)
    }
    guard let id = value.string else {
      throw Problem(
        .fieldInvalid, "expected a string, the name of a personality", pointer: pointer)
    }
    if let personality = personalities.personality(id: id) { return personality }
    let isRefused = personalities.statuses().contains { $0.id == id && $0.refusal != nil }
    throw Problem(
      .personalityNotFound,
      isRefused
        ? "the personality's pack is refused; `kfm packs list` says why"
        : "there is no such personality; GET /v1/personalities lists them", pointer: pointer)
  }

  private func model(_ value: JSON?, route: String) throws(Problem) -> String? {
    guard let value else { return nil }
    guard let name = value.string else {
      throw Problem(.fieldInvalid, "expected a string, provider/model", pointer: "/model")
    }
    guard providers.profile(model: name, route: route) != nil else {
      throw Problem(
        .modelNotFound, "no provider has such a model; expected provider/model as configured",
        pointer: "/model")
    }
    return name
  }

  private static func responseSchema(_ value: JSON?) throws(Problem) -> JSON? {
    guard let value else { return nil }
    do throws(SchemaFailure) {
      _ = try JSONSchema(value)
      return value
    } catch {
      throw error.problem(under: "/response_schema")
    }
  }

  private static func deadline(_ object: JSONObject, now: Timestamp) throws(Problem) -> Timestamp? {
    let deadline = try object["deadline"].map(deadline(of:))
    let timeout = try object["timeout"].map(timeout(of:))
    if deadline != nil, timeout != nil {
      throw Problem(
        .fieldInvalid, "give either 'deadline' or 'timeout', not both", pointer: "/timeout")
    }
    return deadline ?? timeout.map { now.adding($0) }
  }

  private static func deadline(of value: JSON) throws(Problem) -> Timestamp {
    guard let text = value.string, let time = Timestamp(rfc3339: text) else {
      throw Problem(
        .fieldInvalid, "expected a time of RFC 3339 such as 2026-11-25T22:10:21Z",
        pointer: "/deadline")
    }
    return time
  }

  private static func timeout(of value: JSON) throws(Problem) -> Nanoseconds {
    guard let text = value.string, let time = Nanoseconds(duration: text), time > .zero else {
      throw Problem(
        .fieldInvalid, "expected a duration above zero such as 500ms, 30s or 10m",
        pointer: "/timeout")
    }
    return time
  }

  private static func metadata(_ value: JSON?) throws(Problem) -> JSON? {
    guard let value else { return nil }
    guard case .object = value, value.encoded.count <= metadataBytesMax else {
      throw Problem(
        .fieldInvalid, "expected an object of at most \(metadataBytesMax) bytes",
        pointer: "/metadata")
    }
    return value
  }

  private static func idempotencyKey(_ values: [String]) throws(Problem) -> String? {
    guard let key = values.first else { return nil }
    let isPrintable = key.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    guard values.count == 1, isPrintable,
      (1...idempotencyKeyLengthMax).contains(key.utf8.count)
    else {
      throw Problem(
        .fieldInvalid,
        "the header Idempotency-Key takes one value of 1 to \(idempotencyKeyLengthMax) "
          + "printable ASCII characters")
    }
    return key
  }
}
