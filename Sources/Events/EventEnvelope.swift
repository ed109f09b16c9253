package import Base

/// What every event carries beside its payload (CommonEventEnvelope-v1). Written once, as JSON;
/// read back by `EnvelopeScanner`.
package struct EventEnvelope: Sendable {
  /// The major version of every payload schema of this release.
  package static let specVersion = "1.0.0"

  package var eventID: ULID
  package var type: String
  package var timestamp: Timestamp
  /// 32 lower-case hexadecimal digits.
  package var traceID: String
  package var tenantID: String?
  package var sessionID: String?
  package var causationID: ULID?
  /// Members that only journal records have (SEMANTICS D3, D40).
  package var owner: OwnerStamp?

  package init(
    eventID: ULID, type: String, timestamp: Timestamp, traceID: String, tenantID: String? = nil,
    sessionID: String? = nil, causationID: ULID? = nil, owner: OwnerStamp? = nil
  ) {
    self.eventID = eventID
    self.type = type
    self.timestamp = timestamp
    self.traceID = traceID
    self.tenantID = tenantID
    self.sessionID = sessionID
    self.causationID = causationID
    self.owner = owner
  }

  /// The event as a record: this envelope around `payload`, which is one JSON object's text.
  package func record(payload: [UInt8]) -> BusRecord {
    var writer = JSONWriter(reserving: payload.count + 384)
    writer.beginObject()
    writer.member("event_id", eventID.description)
    writer.member("type", type)
    writer.member("spec_version", Self.specVersion)
    writer.member("timestamp", timestamp.rfc3339)
    writer.member("trace_id", traceID)
    if let tenantID { writer.member("tenant_id", tenantID) }
    if let sessionID { writer.member("session_id", sessionID) }
    if let causationID { writer.member("causation_id", causationID.description) }
    if let owner {
      writer.member("owner_epoch", owner.epoch)
      writer.member("owner_claim", Hex.encode(owner.claim))
      writer.name("in")
      writer.beginObject()
      writer.member("requests", owner.consumed.requests)
      writer.member("control", owner.consumed.control)
      writer.endObject()
      writer.member("fold_version", owner.foldVersion)
    }
    writer.name("payload")
    writer.raw(payload)
    writer.endObject()
    return BusRecord(eventID: eventID, type: type, payload: writer.bytes)
  }
}

/// Who wrote a journal record, and what the writer had consumed by then.
package struct OwnerStamp: Sendable, Hashable {
  package var epoch: UInt64
  /// 128 random bits, new with every claim.
  package var claim: UInt128
  package var consumed: InputOffsets
  package var foldVersion: Int

  package init(epoch: UInt64, claim: UInt128, consumed: InputOffsets, foldVersion: Int) {
    self.epoch = epoch
    self.claim = claim
    self.consumed = consumed
    self.foldVersion = foldVersion
  }
}

/// The next offsets of the two topics an owner reads.
package struct InputOffsets: Sendable, Hashable {
  package var requests: UInt64
  package var control: UInt64

  package init(requests: UInt64, control: UInt64) {
    self.requests = requests
    self.control = control
  }
}
