import Base
import CJSON

/// The members of CommonEventEnvelope-v1 and what each may be. The raw value is the place in the
/// table of names and in sets of fields.
enum EnvelopeField: UInt8, CaseIterable {
  case eventID, type, specVersion, timestamp, traceID, payload
  case tenantID, sessionID, traceparent, causationID, correlationID, source, attempt, expiresAt
  case idempotencyKey, ownerEpoch, ownerClaim, consumed, foldVersion, enc, dataref

  static let count = 21
  static let nameBytesMax = 15

  private static let texts: [StaticString] = [
    "event_id", "type", "spec_version", "timestamp", "trace_id", "payload", "tenant_id",
    "session_id", "traceparent", "causation_id", "correlation_id", "source", "attempt",
    "expires_at", "idempotency_key", "owner_epoch", "owner_claim", "in", "fold_version", "enc",
    "dataref",
  ]

  static let names = JSONNames(texts)

  init?(name: String) {
    guard let index = Self.texts.firstIndex(where: { $0.description == name }) else { return nil }
    self.init(rawValue: UInt8(index))
  }

  var pointer: String { "/" + Self.texts[Int(rawValue)].description }

  private var bit: UInt32 { 1 << UInt32(rawValue) }

  /// The set of fields that an envelope with the fields of `present` must have.
  static func required(beside present: UInt32) -> UInt32 {
    let always: UInt32 = 0b11_1111
    let owner = ownerEpoch.bit | ownerClaim.bit | consumed.bit | foldVersion.bit
    return present & owner == 0 ? always : always | owner
  }

  /// Whether the value at `range` of a text that is valid JSON fits the field.
  @inline(__always)
  func accepts(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
    let value = EnvelopeValue(bytes: bytes, range: range)
    return switch self {
    case .payload: true
    case .eventID, .causationID: value.has("oBBBBBBBBBBBBBBBBBBBBBBBBB")
    case .type: value.isTypeName
    case .specVersion: value.isVersion
    case .timestamp, .expiresAt: value.isTimestamp
    case .traceID: value.has("hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh") && !value.isAllZeros
    case .ownerClaim: value.has("hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh")
    case .traceparent: value.has("hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh")
    case .sessionID: value.isSessionID
    case .tenantID: value.isText(of: 1...128)
    case .correlationID, .source, .idempotencyKey: value.isText(of: 1...256)
    case .dataref: value.isText(of: 1...Int.max)
    case .attempt, .ownerEpoch: value.isWhole(from: 0)
    case .foldVersion: value.isWhole(from: 1)
    case .consumed: value.isOffsets
    case .enc: value.isEncryption
    }
  }

  /// What `accepts` takes, in words.
  var expectation: String {
    switch self {
    case .payload: "a value"
    case .eventID, .causationID: "a ULID, 26 upper-case characters"
    case .type: "a name and its major version, such as TurnEvent.v1"
    case .specVersion: "three numbers, such as 1.0.0"
    case .timestamp, .expiresAt: "a time in UTC with microseconds, 2026-01-31T23:59:59.123456Z"
    case .traceID: "32 lower-case hexadecimal digits, not all zeros"
    case .ownerClaim: "32 lower-case hexadecimal digits"
    case .traceparent: "a W3C trace parent, 00-<32 digits>-<16 digits>-<2 digits>"
    case .sessionID: "1 to 512 letters, digits and . _ : ~ -"
    case .tenantID: "a text of 1 to 128 characters"
    case .correlationID, .source, .idempotencyKey: "a text of 1 to 256 characters"
    case .dataref: "a text"
    case .attempt, .ownerEpoch: "a whole number from 0 on"
    case .foldVersion: "a whole number from 1 on"
    case .consumed: "an object with the whole numbers requests and control"
    case .enc: "an object with the texts alg, key_id and nonce"
    }
  }
}
