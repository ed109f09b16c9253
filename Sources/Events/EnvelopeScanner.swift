package import Base
import CJSON

/// Finds an envelope's fields in a received buffer: ranges, no copies, no allocation.
///
/// Unknown members are skipped, and of a name that is given twice the first member counts. The
/// payload is handed on as a slice; it is balanced, but whoever uses it parses it. Bytes from
/// outside go through `Envelope.validate` first.
package struct EnvelopeScanner {
  package private(set) var scanner = JSONScanner(UnsafeRawBufferPointer(start: nil, count: 0))
  private var found = cjson_found()

  /// In the order of the places in `found`; `cjson_is_event` knows the first six.
  private static let names = JSONNames([
    "event_id", "type", "spec_version", "timestamp", "trace_id", "payload", "tenant_id",
    "session_id", "causation_id", "owner_epoch", "owner_claim", "in", "fold_version",
  ])

  /// Has found nothing yet; only `read` may be called.
  package init() {}

  /// Nil when `bytes` hold no envelope: no object, a required field missing or of a wrong type.
  package init?(_ bytes: UnsafeRawBufferPointer) {
    guard read(bytes) else { return nil }
  }

  /// Reads another event in the place of the last one; false when it is none, and then nothing else
  /// may be called. For many events in a row: it spares moving what was found.
  package mutating func read(_ bytes: UnsafeRawBufferPointer) -> Bool {
    scanner = JSONScanner(bytes)
    guard Self.names.find(in: bytes, &found) else { return false }
    return cjson_is_event(bytes.baseAddress!, &found) == 1
  }

  package var eventID: ULID {
    var (high, low) = (UInt64(), UInt64())
    _ = cjson_ulid(scanner.bytes.baseAddress! + Int(found.at.0.start) + 1, &high, &low)
    return ULID(value: UInt128(high) << 64 | UInt128(low))
  }

  package var type: Range<Int> { Range(found.at.1) }
  package var specVersion: Range<Int> { Range(found.at.2) }
  package var timestamp: Range<Int> { Range(found.at.3) }
  package var traceID: Range<Int> { Range(found.at.4) }
  package var payload: Range<Int> { Range(found.at.5) }
  package var tenantID: Range<Int>? { Range(found: found.at.6) }
  package var sessionID: Range<Int>? { Range(found: found.at.7) }
  package var causationID: Range<Int>? { Range(found: found.at.8) }
  package var ownerEpoch: Range<Int>? { Range(found: found.at.9) }
  package var ownerClaim: Range<Int>? { Range(found: found.at.10) }
  package var consumed: Range<Int>? { Range(found: found.at.11) }
  package var foldVersion: Range<Int>? { Range(found: found.at.12) }

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
}
