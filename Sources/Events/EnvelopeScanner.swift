package import Base

/// Finds an envelope's fields in a received buffer: ranges, no copies, no allocation.
///
/// Unknown members are skipped. The payload is handed on as a slice; it is balanced, but whoever
/// uses it parses it.
package struct EnvelopeScanner {
  package let scanner: JSONScanner
  package private(set) var eventID: ULID
  package private(set) var type: Range<Int>
  package private(set) var specVersion: Range<Int>
  package private(set) var timestamp: Range<Int>
  package private(set) var traceID: Range<Int>
  package private(set) var payload: Range<Int>
  package private(set) var tenantID: Range<Int>?
  package private(set) var sessionID: Range<Int>?
  package private(set) var causationID: Range<Int>?
  package private(set) var ownerEpoch: Range<Int>?
  package private(set) var ownerClaim: Range<Int>?
  package private(set) var consumed: Range<Int>?
  package private(set) var foldVersion: Range<Int>?

  /// Nil when `bytes` hold no envelope: no object, a required field missing or of a wrong type.
  package init?(_ bytes: UnsafeRawBufferPointer) {
    scanner = JSONScanner(bytes)
    var fields = Fields()
    let scanner = scanner
    guard
      scanner.members(
        in: 0..<bytes.count,
        { name, value in
          fields.take(scanner, name, value)
          return true
        }),
      let id = fields.eventID, let eventID = Self.ulid(scanner, id), let type = fields.type,
      let version = fields.specVersion, let time = fields.timestamp, let trace = fields.traceID,
      Self.isText(bytes, type), Self.isText(bytes, version), Self.isText(bytes, time),
      Self.isText(bytes, trace), trace.count == 34, let payload = fields.payload,
      bytes[payload.lowerBound] == 0x7B
    else { return nil }
    self.eventID = eventID
    self.type = type
    specVersion = version
    timestamp = time
    traceID = trace
    self.payload = payload
    tenantID = fields.tenantID
    sessionID = fields.sessionID
    causationID = fields.causationID
    ownerEpoch = fields.ownerEpoch
    ownerClaim = fields.ownerClaim
    consumed = fields.consumed
    foldVersion = fields.foldVersion
  }

  package func isType(_ name: StaticString) -> Bool {
    type.count >= 2 && scanner.matches(type.lowerBound + 1..<type.upperBound - 1, name)
  }

  package func text(_ range: Range<Int>?) -> String? { range.flatMap { scanner.string($0) } }

  package func payloadJSON() throws(JSONError) -> JSON {
    try JSON(parsing: UnsafeRawBufferPointer(rebasing: scanner.bytes[payload]))
  }

  /// The owner's stamp of a journal record; nil on other events.
  package var owner: OwnerStamp? {
    guard let epochRange = ownerEpoch, let epoch = scanner.integer(epochRange), epoch >= 0,
      let claimText = text(ownerClaim), let claim = UInt128(claimText, radix: 16),
      let consumed, let requestsRange = scanner.member("requests", in: consumed),
      let requests = scanner.integer(requestsRange), requests >= 0,
      let controlRange = scanner.member("control", in: consumed),
      let control = scanner.integer(controlRange), control >= 0,
      let foldRange = foldVersion, let fold = scanner.integer(foldRange)
    else { return nil }
    return OwnerStamp(
      epoch: UInt64(epoch), claim: claim,
      consumed: InputOffsets(requests: UInt64(requests), control: UInt64(control)),
      foldVersion: Int(fold))
  }

  private static func ulid(_ scanner: JSONScanner, _ range: Range<Int>) -> ULID? {
    guard range.count == 28, isText(scanner.bytes, range) else { return nil }
    let inside = scanner.bytes[range.lowerBound + 1..<range.upperBound - 1]
    return ULID(String(decoding: inside, as: UTF8.self))
  }

  /// Whether a value is a string: the scanner ends those at their closing quote.
  private static func isText(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
    bytes[range.lowerBound] == UInt8(ascii: "\"")
  }

  private struct Fields {
    var eventID, type, specVersion, timestamp, traceID, payload: Range<Int>?
    var tenantID, sessionID, causationID: Range<Int>?
    var ownerEpoch, ownerClaim, consumed, foldVersion: Range<Int>?

    /// The first member of a name counts. Names differ by length first, which is all most need.
    mutating func take(_ scanner: JSONScanner, _ name: Range<Int>, _ value: Range<Int>) {
      func keep(_ slot: inout Range<Int>?, _ text: StaticString) {
        if slot == nil, scanner.matches(name, text) { slot = value }
      }
      switch name.count {
      case 2: keep(&consumed, "in")
      case 4: keep(&type, "type")
      case 7: keep(&payload, "payload")
      case 8:
        keep(&eventID, "event_id")
        keep(&traceID, "trace_id")
      case 9:
        keep(&timestamp, "timestamp")
        keep(&tenantID, "tenant_id")
      case 10: keep(&sessionID, "session_id")
      case 11:
        keep(&ownerEpoch, "owner_epoch")
        keep(&ownerClaim, "owner_claim")
      case 12:
        keep(&specVersion, "spec_version")
        keep(&causationID, "causation_id")
        keep(&foldVersion, "fold_version")
      default: break
      }
    }
  }
}
