import Base
import Events

// What each journal record shows to everybody else (SEMANTICS D3): which topics repeat it, and
// which event of the turn's stream it is. Both are functions of the record alone, so that a new
// owner publishes exactly what the old one would have.

extension JournalRecord {
  /// The stream event this record is shown as: its name and its data. Nil when the stream shows
  /// nothing of it.
  var streamEvent: (name: String, data: [UInt8])? {
    switch self {
    case .accepted(let record): ("turn.accepted", record.streamData)
    case .planned(let record): ("plan", record.streamData)
    case .started(let record) where record.attempt == 1: ("step.started", record.streamData)
    case .finished(let record): ("step.finished", record.streamData)
    case .ended(let record): ("turn.\(record.status.rawValue)", record.streamData)
    case .claim, .released, .resuming, .started: nil
    }
  }

  var isEnd: Bool { if case .ended = self { true } else { false } }

  /// Where the stream event stands; set by whoever records it.
  var position: StreamPosition? {
    get {
      switch self {
      case .accepted(let record): record.position
      case .planned(let record): record.position
      case .started(let record): record.position
      case .finished(let record): record.position
      case .ended(let record): record.position
      case .claim, .released, .resuming: nil
      }
    }
    set {
      guard let newValue else { return }
      switch self {
      case .accepted(var record):
        record.position = newValue
        self = .accepted(record)
      case .planned(var record):
        record.position = newValue
        self = .planned(record)
      case .started(var record):
        record.position = newValue
        self = .started(record)
      case .finished(var record):
        record.position = newValue
        self = .finished(record)
      case .ended(var record):
        record.position = newValue
        self = .ended(record)
      case .claim, .released, .resuming: break
      }
    }
  }

  /// The seed's topic that repeats the record, and its type there; the payload is the journal's.
  var publishedAs: (topic: Topic, type: String)? {
    switch self {
    case .planned: (.plans, "PlanEvent.v1")
    case .started: (.stepsRequests, "StepEvent.v1")
    case .finished: (.stepsResults, "StepResultEvent.v1")
    case .claim, .released, .accepted, .ended, .resuming: nil
    }
  }
}

/// The id of what is published for a journal record: derived, so that publishing twice is seen.
func publishedEventID(_ journalID: ULID, _ topic: Topic) -> ULID {
  // Journal ids differ in 80 random bits; flipping some by topic keeps them apart, and the time.
  let mask = UInt128(UInt64(topic.rawValue + 1) &* 0x9E37_79B9_7F4A_7C15)
  return ULID(value: journalID.value ^ mask)
}

/// The payload of a `TurnResponseEvent.v1`: the stream event's data with its name and position.
func responsePayload(name: String, position: StreamPosition, data: [UInt8]) -> [UInt8] {
  var payload: [UInt8] = []
  payload.reserveCapacity(data.count + 64)
  payload.append(contentsOf: "{\"event\":\"".utf8)
  payload.append(contentsOf: name.utf8)
  payload.append(contentsOf: "\",\"position\":\"".utf8)
  payload.append(contentsOf: position.description.utf8)
  payload.append(contentsOf: "\",".utf8)
  payload.append(contentsOf: data.dropFirst())
  return payload
}

extension TurnAccepted {
  var streamData: [UInt8] {
    var writer = JSONWriter(reserving: 256)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("session_id", sessionID)
    writer.member("personality_id", personalityID)
    writer.member("pack_digest", packDigest)
    writer.endObject()
    return writer.bytes
  }
}

extension PlanRecord {
  var streamData: [UInt8] {
    var writer = JSONWriter(reserving: 512)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("plan_id", planID.description)
    writer.member("revision", revision)
    writer.name("steps")
    writer.beginArray()
    for step in steps {
      writer.beginObject()
      writer.member("step_id", step.stepID.description)
      writer.member("step_index", step.index)
      writer.member("step_type", step.type.rawValue)
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    return writer.bytes
  }
}

extension StepStarted {
  var streamData: [UInt8] {
    var writer = JSONWriter(reserving: 160)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("step_id", step.stepID.description)
    writer.member("step_index", step.index)
    writer.member("step_type", step.type.rawValue)
    writer.endObject()
    return writer.bytes
  }
}

extension StepFinished {
  var streamData: [UInt8] {
    var writer = JSONWriter(reserving: 320)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("step_id", stepID.description)
    writer.member("status", outcome.status.rawValue)
    if let failure = outcome.failure { writer.member("error", failure.json) }
    writer.member("metrics", metrics)
    writer.endObject()
    return writer.bytes
  }
}

extension TurnEnded {
  var streamData: [UInt8] {
    var writer = JSONWriter(reserving: answer.utf8.count + 512)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("session_id", sessionID)
    for member in terminal.members {
      writer.name(member.name)
      writer.value(member.value)
    }
    writer.endObject()
    return writer.bytes
  }
}

/// The data of a `delta`.
func deltaData(turnID: ULID, stepID: ULID, text: String) -> [UInt8] {
  var writer = JSONWriter(reserving: text.utf8.count + 96)
  writer.beginObject()
  writer.member("turn_id", turnID.description)
  writer.member("step_id", stepID.description)
  writer.member("text", text)
  writer.endObject()
  return writer.bytes
}
