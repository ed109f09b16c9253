package import Base
package import Events

/// A turn as it stands on `agent.turns.requests`: the content of a `TurnEvent.v1`.
package struct TurnRequest: Sendable {
  package static let eventType = "TurnEvent.v1"

  package var turnID: ULID
  package var sessionID: String
  package var personalityID: String
  package var userMessage: String
  package var principal: Principal
  package var model: String?
  package var responseSchema: JSON?
  package var deadline: Timestamp
  package var metadata: JSON?
  package var idempotencyKey: String?
  package var bodyDigest: String
  package var createdAt: Timestamp
  package var traceID: String
  package var eventID: ULID

  /// The payload's JSON text.
  package var payload: [UInt8] {
    var writer = JSONWriter(reserving: userMessage.utf8.count + 512)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("user_message", userMessage)
    writer.member("personality_id", personalityID)
    writer.member("principal", principal.json)
    writer.member("created_at", createdAt.rfc3339)
    writer.member("deadline", deadline.rfc3339)
    writer.name("options")
    writer.beginObject()
    if let model { writer.member("model", model) }
    if let responseSchema { writer.member("response_schema", responseSchema) }
    if let metadata { writer.member("metadata", metadata) }
    writer.endObject()
    if let idempotencyKey {
      writer.name("idempotency")
      writer.beginObject()
      writer.member("key", idempotencyKey)
      writer.member("body_sha256", bodyDigest)
      writer.endObject()
    }
    writer.endObject()
    return writer.bytes
  }

  package var record: BusRecord {
    EventEnvelope(
      eventID: eventID, type: Self.eventType, timestamp: createdAt, traceID: traceID,
      tenantID: principal.tenantID, sessionID: sessionID
    ).record(payload: payload)
  }

  /// Reads a TurnEvent; nil when the record is none, or lacks what a turn needs. Anybody may write
  /// to the topic, so the whole text is checked first.
  package init?(record: PolledRecord) {
    guard Envelope.isValid(record.payloadBytes),
      let envelope = EnvelopeScanner(record.payloadBytes), envelope.isType("TurnEvent.v1"),
      let payload = try? envelope.payloadJSON(), let session = envelope.text(envelope.sessionID),
      let trace = envelope.text(envelope.traceID),
      let turn = payload["turn_id"]?.string.flatMap({ ULID($0) }),
      let message = payload["user_message"]?.string,
      let personality = payload["personality_id"]?.string,
      let principal = payload["principal"].flatMap({ Principal(json: $0) }),
      let created = payload["created_at"]?.string.flatMap({ Timestamp(rfc3339: $0) }),
      let deadline = payload["deadline"]?.string.flatMap({ Timestamp(rfc3339: $0) })
    else { return nil }
    turnID = turn
    sessionID = session
    personalityID = personality
    userMessage = message
    self.principal = principal
    model = payload["options"]?["model"]?.string
    responseSchema = payload["options"]?["response_schema"]
    metadata = payload["options"]?["metadata"]
    idempotencyKey = payload["idempotency"]?["key"]?.string
    bodyDigest = payload["idempotency"]?["body_sha256"]?.string ?? ""
    createdAt = created
    self.deadline = deadline
    traceID = trace
    eventID = envelope.eventID
  }

  /// Stands in for a TurnEvent that cannot be read any more, so that its turn can be ended in order.
  init(lost accepted: TurnAccepted, traceID: String) {
    turnID = accepted.turnID
    sessionID = accepted.sessionID
    personalityID = accepted.personalityID
    userMessage = ""
    principal = accepted.principal
    deadline = accepted.createdAt
    idempotencyKey = accepted.idempotencyKey
    bodyDigest = accepted.bodyDigest
    createdAt = accepted.createdAt
    self.traceID = traceID
    eventID = accepted.requestEventID
  }

  init(
    submission: TurnSubmission, turnID: ULID, sessionID: String, personalityID: String,
    deadline: Timestamp, createdAt: Timestamp, eventID: ULID
  ) {
    self.turnID = turnID
    self.sessionID = sessionID
    self.personalityID = personalityID
    self.deadline = deadline
    self.createdAt = createdAt
    self.eventID = eventID
    userMessage = submission.userMessage
    principal = submission.principal
    model = submission.model
    responseSchema = submission.responseSchema
    metadata = submission.metadata
    idempotencyKey = submission.idempotencyKey
    bodyDigest = submission.bodyDigest
    traceID = submission.traceID
  }
}
