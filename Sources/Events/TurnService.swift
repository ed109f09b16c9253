package import Base

/// A turn as the gateway hands it in: parsed, checked and stamped.
package struct TurnSubmission: Sendable {
  package var principal: Principal
  /// Nil: the engine makes one, from the idempotency key where there is one (SEMANTICS D25).
  package var sessionID: String?
  /// Nil: the node's default.
  package var personalityID: String?
  /// The text; parts are joined by the gateway as long as only text is supported.
  package var userMessage: String
  package var model: String?
  package var responseSchema: JSON?
  /// Absolute; the gateway has turned a `timeout` into one. Nil: the node's default.
  package var deadline: Timestamp?
  package var metadata: JSON?
  package var idempotencyKey: String?
  /// SHA-256 of the JCS form of the body, for the idempotency key.
  package var bodyDigest: String
  /// 32 lower-case hexadecimal digits.
  package var traceID: String

  package init(
    principal: Principal, sessionID: String? = nil, personalityID: String? = nil,
    userMessage: String, model: String? = nil, responseSchema: JSON? = nil,
    deadline: Timestamp? = nil, metadata: JSON? = nil, idempotencyKey: String? = nil,
    bodyDigest: String = "", traceID: String
  ) {
    self.principal = principal
    self.sessionID = sessionID
    self.personalityID = personalityID
    self.userMessage = userMessage
    self.model = model
    self.responseSchema = responseSchema
    self.deadline = deadline
    self.metadata = metadata
    self.idempotencyKey = idempotencyKey
    self.bodyDigest = bodyDigest
    self.traceID = traceID
  }
}

/// What a submission became: its TurnEvent is durable (SEMANTICS D11, B1).
package struct TurnAdmission: Sendable {
  package var turnID: ULID
  package var sessionID: String
  /// The idempotency key named a turn that was there already.
  package var replayed: Bool

  package init(turnID: ULID, sessionID: String, replayed: Bool) {
    self.turnID = turnID
    self.sessionID = sessionID
    self.replayed = replayed
  }
}

package enum TurnStatus: String, Sendable {
  case queued, running, waiting, completed, failed, cancelled, merged

  package var isTerminal: Bool {
    switch self {
    case .completed, .failed, .cancelled, .merged: true
    default: false
    }
  }
}

/// `GET /v1/turns/{id}`.
package struct TurnResource: Sendable {
  package var turnID: ULID
  package var sessionID: String
  package var personalityID: String
  package var status: TurnStatus
  package var createdAt: Timestamp
  package var finishedAt: Timestamp?
  /// The terminal's `answer output sources error receipt`, those that it has.
  package var terminal: JSONObject

  package init(
    turnID: ULID, sessionID: String, personalityID: String, status: TurnStatus,
    createdAt: Timestamp, finishedAt: Timestamp? = nil, terminal: JSONObject = [:]
  ) {
    self.turnID = turnID
    self.sessionID = sessionID
    self.personalityID = personalityID
    self.status = status
    self.createdAt = createdAt
    self.finishedAt = finishedAt
    self.terminal = terminal
  }

  /// The JSON shape of SURFACE.
  package var json: JSON {
    var object: JSONObject = [
      "turn_id": .string(turnID.description), "session_id": .string(sessionID),
      "personality_id": .string(personalityID), "status": .string(status.rawValue),
      "created_at": .string(createdAt.rfc3339),
    ]
    if let finishedAt { object["finished_at"] = .string(finishedAt.rfc3339) }
    for member in terminal.members { object[member.name] = member.value }
    return .object(object)
  }
}

/// `GET /v1/sessions/{id}`.
package struct SessionResource: Sendable {
  package var sessionID: String
  /// Ended, running and waiting ones.
  package var turnCount: Int
  package var createdAt: Timestamp
  package var updatedAt: Timestamp

  package init(
    sessionID: String, turnCount: Int, createdAt: Timestamp, updatedAt: Timestamp
  ) {
    self.sessionID = sessionID
    self.turnCount = turnCount
    self.createdAt = createdAt
    self.updatedAt = updatedAt
  }

  package var json: JSON {
    [
      "session_id": .string(sessionID), "turns": .int(Int64(turnCount)),
      "created_at": .string(createdAt.rfc3339), "updated_at": .string(updatedAt.rfc3339),
    ]
  }
}

/// A part of `GET /v1/sessions/{id}/history`.
package struct HistoryPage: Sendable {
  package var items: [HistoryItem]
  /// The last turn of the page, when more follow.
  package var nextCursor: ULID?

  package init(items: [HistoryItem], nextCursor: ULID? = nil) {
    self.items = items
    self.nextCursor = nextCursor
  }
}

/// One item of `GET /v1/sessions/{id}/history`, oldest first.
package struct HistoryItem: Sendable {
  package var turnID: ULID
  package var role: ChatMessage.Role
  package var content: String
  package var status: TurnStatus
  package var createdAt: Timestamp

  package init(
    turnID: ULID, role: ChatMessage.Role, content: String, status: TurnStatus,
    createdAt: Timestamp
  ) {
    self.turnID = turnID
    self.role = role
    self.content = content
    self.status = status
    self.createdAt = createdAt
  }

  package var json: JSON {
    [
      "turn_id": .string(turnID.description), "role": .string(role.rawValue),
      "content": .string(content), "status": .string(status.rawValue),
      "created_at": .string(createdAt.rfc3339),
    ]
  }
}

/// A place in a turn's stream (SEMANTICS D20): `attempt.seq`.
package struct StreamPosition: Hashable, Sendable, CustomStringConvertible {
  package var attempt: UInt64
  package var sequence: UInt64

  package init(attempt: UInt64, sequence: UInt64) {
    self.attempt = attempt
    self.sequence = sequence
  }

  /// Reads `131072.4`; nil for anything else.
  package init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let attempt = UInt64(parts[0]), let sequence = UInt64(parts[1]) else {
      return nil
    }
    self.init(attempt: attempt, sequence: sequence)
    // A position has one spelling: no signs, no leading zeros.
    guard text == description else { return nil }
  }

  package var description: String { "\(attempt).\(sequence)" }
}

/// One event of a turn's stream as a client is shown it.
package struct StreamEvent: Sendable {
  /// `turn.accepted`, `delta`, … (SURFACE).
  package var name: String
  /// Nil only for a reset that is no record (SEMANTICS D20).
  package var position: StreamPosition?
  /// One JSON object's text.
  package var data: [UInt8]

  package init(name: String, position: StreamPosition?, data: [UInt8]) {
    self.name = name
    self.position = position
    self.data = data
  }

  package var isTerminal: Bool {
    switch name {
    case "turn.completed", "turn.failed", "turn.cancelled", "turn.merged": true
    default: false
    }
  }
}

/// Who watches a turn's stream. Called on the loop.
package protocol TurnStreamSubscriber: AnyObject {
  /// Events in order; a batch that ends with the terminal is the last call.
  func receive(_ events: [StreamEvent])
  /// Nothing more comes from this node, which has lost the turn: the last call. The turn goes on
  /// elsewhere or after a restart, and its stream with it.
  func lost()
}

package enum AttachOutcome {
  /// Events follow; cancel to stop watching.
  case attached(any Cancellable)
  /// The position is the terminal's: nothing follows (204).
  case ended
}

/// The engine as the gateway sees it. Everything happens on one loop; completions never run inside
/// the call that handed them in. What belongs to another tenant or subject does not exist.
package protocol TurnService: AnyObject {
  func submit(
    _ submission: TurnSubmission,
    completion: @escaping (Result<TurnAdmission, Problem>) -> Void)

  func turn(
    _ turnID: ULID, for principal: Principal,
    completion: @escaping (Result<TurnResource, Problem>) -> Void)

  /// Newest first, at most `limit`, older than `cursor` (a turn id) where given.
  func turns(
    for principal: Principal, limit: Int, before cursor: ULID?,
    completion: @escaping (Result<[TurnResource], Problem>) -> Void)

  /// `lastEventID` is the header as sent, nil without one. The subscriber is held until its
  /// terminal or until the outcome is cancelled; the outcome comes before its first events.
  func attach(
    _ turnID: ULID, for principal: Principal, after lastEventID: String?,
    subscriber: any TurnStreamSubscriber,
    completion: @escaping (Result<AttachOutcome, Problem>) -> Void)

  /// The resource, and whether the turn had already ended.
  func cancel(
    _ turnID: ULID, for principal: Principal, traceID: String,
    completion: @escaping (Result<(resource: TurnResource, hadEnded: Bool), Problem>) -> Void)

  /// What the session is, without what was said in it.
  func session(
    _ sessionID: String, for principal: Principal,
    completion: @escaping (Result<SessionResource, Problem>) -> Void)

  /// Messages of ended turns, oldest first: of at most `limit` turns, after the turn `cursor` where
  /// given.
  func history(
    session sessionID: String, for principal: Principal, limit: Int, after cursor: ULID?,
    completion: @escaping (Result<HistoryPage, Problem>) -> Void)
}
