package import Base
package import Events

/// The owner has taken a turn (SEMANTICS D12).
package struct TurnAccepted: Sendable {
  package var turnID: ULID
  package var sessionID: String
  package var personalityID: String
  package var packDigest: String
  package var principal: Principal
  /// Where its TurnEvent is; the offset is a hint, the id is the reference (D4).
  package var requestOffset: UInt64
  package var requestEventID: ULID
  /// Where responses/p ended then: the turn's stream begins there or later.
  package var responsesOffset: UInt64
  package var createdAt: Timestamp
  package var idempotencyKey: String?
  package var bodyDigest: String
  package var position: StreamPosition

  var json: JSON {
    var object: JSONObject = [
      "turn_id": .string(turnID.description), "session_id": .string(sessionID),
      "personality_id": .string(personalityID), "pack_digest": .string(packDigest),
      "principal": principal.json, "request_offset": .int(Int64(requestOffset)),
      "request_event_id": .string(requestEventID.description),
      "responses_offset": .int(Int64(responsesOffset)),
      "created_at": .string(createdAt.rfc3339), "position": .string(position.description),
    ]
    if let idempotencyKey {
      object["idempotency_key"] = .string(idempotencyKey)
      object["body_sha256"] = .string(bodyDigest)
    }
    return .object(object)
  }

  init(request: TurnRequest, packDigest: String, requestOffset: UInt64, responsesOffset: UInt64) {
    turnID = request.turnID
    sessionID = request.sessionID
    personalityID = request.personalityID
    self.packDigest = packDigest
    principal = request.principal
    self.requestOffset = requestOffset
    requestEventID = request.eventID
    self.responsesOffset = responsesOffset
    createdAt = request.createdAt
    idempotencyKey = request.idempotencyKey
    bodyDigest = request.bodyDigest
    position = StreamPosition(attempt: 0, sequence: 0)
  }

  init?(json: JSON) {
    guard let turn = json["turn_id"]?.string.flatMap({ ULID($0) }),
      let session = json["session_id"]?.string, let personality = json["personality_id"]?.string,
      let digest = json["pack_digest"]?.string,
      let principal = json["principal"].flatMap({ Principal(json: $0) }),
      let offset = json["request_offset"]?.int,
      let event = json["request_event_id"]?.string.flatMap({ ULID($0) }),
      let responses = json["responses_offset"]?.int,
      let created = json["created_at"]?.string.flatMap({ Timestamp(rfc3339: $0) }),
      let position = json["position"]?.string.flatMap({ StreamPosition($0) })
    else { return nil }
    turnID = turn
    sessionID = session
    personalityID = personality
    packDigest = digest
    self.principal = principal
    requestOffset = UInt64(max(0, offset))
    requestEventID = event
    responsesOffset = UInt64(max(0, responses))
    createdAt = created
    idempotencyKey = json["idempotency_key"]?.string
    bodyDigest = json["body_sha256"]?.string ?? ""
    self.position = position
  }
}

/// The end of a turn (SEMANTICS D21): exactly one counts.
package struct TurnEnded: Sendable {
  package var turnID: ULID
  package var sessionID: String
  package var personalityID: String
  package var status: TurnStatus
  /// What the stream's terminal event shows beside the ids: `step_id answer output sources error
  /// receipt`.
  package var terminal: JSONObject
  /// What the turn adds to its session's history between the user's message and the answer.
  package var messages: [ChatMessage]
  package var createdAt: Timestamp
  package var finishedAt: Timestamp
  package var published: PublishedMark?
  package var position: StreamPosition

  var answer: String { terminal["answer"]?.string ?? "" }

  var json: JSON {
    var object: JSONObject = [
      "turn_id": .string(turnID.description), "session_id": .string(sessionID),
      "personality_id": .string(personalityID), "status": .string(status.rawValue),
      "terminal": .object(terminal), "created_at": .string(createdAt.rfc3339),
      "finished_at": .string(finishedAt.rfc3339), "position": .string(position.description),
    ]
    if !messages.isEmpty { object["messages"] = .array(messages.map(\.json)) }
    if let published { object["published"] = published.json }
    return .object(object)
  }

  init?(json: JSON) {
    guard let turn = json["turn_id"]?.string.flatMap({ ULID($0) }),
      let session = json["session_id"]?.string, let personality = json["personality_id"]?.string,
      let status = json["status"]?.string.flatMap({ TurnStatus(rawValue: $0) }),
      let terminal = json["terminal"]?.object,
      let created = json["created_at"]?.string.flatMap({ Timestamp(rfc3339: $0) }),
      let finished = json["finished_at"]?.string.flatMap({ Timestamp(rfc3339: $0) }),
      let position = json["position"]?.string.flatMap({ StreamPosition($0) })
    else { return nil }
    self.init(
      turnID: turn, sessionID: session, personalityID: personality, status: status,
      terminal: terminal,
      messages: json["messages"]?.array?.compactMap { ChatMessage(json: $0) } ?? [],
      createdAt: created, finishedAt: finished)
    published = json["published"]?.int.map { PublishedMark(journal: UInt64(max(0, $0))) }
    self.position = position
  }

  init(
    turnID: ULID, sessionID: String, personalityID: String, status: TurnStatus,
    terminal: JSONObject, messages: [ChatMessage], createdAt: Timestamp, finishedAt: Timestamp
  ) {
    self.turnID = turnID
    self.sessionID = sessionID
    self.personalityID = personalityID
    self.status = status
    self.terminal = terminal
    self.messages = messages
    self.createdAt = createdAt
    self.finishedAt = finishedAt
    position = StreamPosition(attempt: 0, sequence: 0)
  }
}

extension ChatMessage {
  var json: JSON {
    var object: JSONObject = ["role": .string(role.rawValue), "content": .string(text)]
    if !toolCalls.isEmpty { object["tool_calls"] = .array(toolCalls.map(\.json)) }
    if let toolCallID { object["tool_call_id"] = .string(toolCallID) }
    return .object(object)
  }

  init?(json: JSON) {
    guard let role = json["role"]?.string.flatMap({ Role(rawValue: $0) }),
      let text = json["content"]?.string
    else { return nil }
    self.init(
      role, text, toolCalls: json["tool_calls"]?.array?.compactMap { ToolCall(json: $0) } ?? [],
      toolCallID: json["tool_call_id"]?.string)
  }
}

extension ToolCall {
  var json: JSON {
    ["id": .string(id), "name": .string(name), "arguments": .string(arguments)]
  }

  init?(json: JSON) {
    guard let id = json["id"]?.string, let name = json["name"]?.string,
      let arguments = json["arguments"]?.string
    else { return nil }
    self.init(id: id, name: name, arguments: arguments)
  }
}
