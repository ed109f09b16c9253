import Base
import Events

/// Reads streams of turns back from responses/p, for clients that come late and for new owners.
struct StreamReader {
  private let events: EventPublisherSubscriber

  init(events: EventPublisherSubscriber) { self.events = events }

  /// One `TurnResponseEvent.v1` taken apart.
  struct Response {
    var turnID: ULID
    var record: TurnStream.Record
    var discardFrom: UInt64?

    /// Nil when the record is no response of ours.
    init?(_ polled: PolledRecord) {
      guard let envelope = EnvelopeScanner(polled.payloadBytes),
        envelope.isType("TurnResponseEvent.v1")
      else { return nil }
      let scanner = envelope.scanner
      var fields: (name: String?, position: Range<Int>?, turn: String?, discard: Int64?)
      scanner.members(in: envelope.payload) { name, value in
        switch name.count {
        case 5 where scanner.matches(name, "event"): fields.name = scanner.string(value)
        case 7 where scanner.matches(name, "turn_id"): fields.turn = scanner.string(value)
        case 8 where scanner.matches(name, "position"): fields.position = value
        case 12 where scanner.matches(name, "discard_from"):
          fields.discard = scanner.integer(value)
        default: break
        }
        return true
      }
      guard let name = fields.name, let positionRange = fields.position,
        let position = scanner.string(positionRange).flatMap({ StreamPosition($0) }),
        let turn = fields.turn.flatMap({ ULID($0) })
      else { return nil }
      turnID = turn
      discardFrom = name == "reset" ? fields.discard.map { UInt64(max(0, $0)) } : nil
      // `responsePayload` put name and position before the data; what follows is as it was shown.
      let rest = polled.payloadBytes[(positionRange.upperBound + 1)..<envelope.payload.upperBound]
      record = TurnStream.Record(
        position: position, name: name, data: [UInt8(ascii: "{")] + rest,
        eventID: envelope.eventID)
    }
  }

  /// The stream of one turn, as far as it is on the log from `offset` on.
  func read(
    _ turnID: ULID, partition: Int, from offset: UInt64,
    completion: @escaping (Result<TurnStream, BusError>) -> Void
  ) {
    var stream = TurnStream()
    events.readAll(
      TopicPartition(.turnsResponses, partition), from: offset,
      { polled in
        guard let response = Response(polled), response.turnID == turnID else { return true }
        stream.fold(response.record, discardFrom: response.discardFrom)
        return !response.record.event.isTerminal
      },
      completion: { result in completion(result.map { _ in stream }) })
  }

  /// The streams of several turns of one partition, in one pass.
  func read(
    _ turnIDs: Set<ULID>, partition: Int, from offset: UInt64,
    completion: @escaping (Result<[ULID: TurnStream], BusError>) -> Void
  ) {
    var streams: [ULID: TurnStream] = [:]
    events.readAll(
      TopicPartition(.turnsResponses, partition), from: offset,
      { polled in
        guard let response = Response(polled), turnIDs.contains(response.turnID) else {
          return true
        }
        streams[response.turnID, default: TurnStream()].fold(
          response.record, discardFrom: response.discardFrom)
        return true
      },
      completion: { result in completion(result.map { _ in streams }) })
  }
}
