package import Base
package import Events

/// The stream of one turn (SEMANTICS D20): the records that stand, each with its position, and
/// what a client that comes back has to be shown. No I/O.
package struct TurnStream: Sendable {
  package struct Record: Sendable {
    package var position: StreamPosition
    package var name: String
    /// One JSON object's text, as clients are shown it.
    package var data: [UInt8]
    package var eventID: ULID

    var event: StreamEvent { StreamEvent(name: name, position: position, data: data) }
  }

  private struct Reset: Sendable {
    var attempt: UInt64
    var discardFrom: UInt64
  }

  /// What stands, in order: `records[i]` has sequence `i + 1`.
  package private(set) var records: [Record] = []
  /// Every reset so far, also those that a later one voided.
  private var resets: [Reset] = []
  package private(set) var attempt: UInt64
  /// Records that were found out of place: something before them was never published.
  package private(set) var holes = 0
  /// Memory it takes, roughly; what a reset voided still counts.
  package private(set) var bytes = 0
  private static let recordOverhead = 144

  /// A stream that `epoch`'s owner writes from its beginning.
  package init(epoch: UInt64) { attempt = epoch << 16 }

  /// A stream that is read back from the log.
  package init() { attempt = 0 }

  package var isEnded: Bool { records.last?.event.isTerminal ?? false }
  package var sequenceNext: UInt64 { UInt64(records.count) + 1 }
  package var positionNext: StreamPosition {
    StreamPosition(attempt: attempt, sequence: sequenceNext)
  }

  /// Appends a record at the next position.
  package mutating func append(name: String, data: [UInt8], eventID: ULID) -> Record {
    let record = Record(position: positionNext, name: name, data: data, eventID: eventID)
    records.append(record)
    bytes += data.count + Self.recordOverhead
    return record
  }

  /// Voids what stands from `discardFrom` on; the reset itself takes that place. `attemptNext` is
  /// above every attempt so far.
  package mutating func reset(
    turnID: ULID, discardFrom: UInt64, attempt attemptNext: UInt64, eventID: ULID
  ) -> Record {
    precondition(attemptNext > attempt, "a reset must raise the attempt")
    precondition(discardFrom >= 2 && discardFrom <= sequenceNext, "a reset outside the stream")
    attempt = attemptNext
    records.removeSubrange((Int(discardFrom) - 1)...)
    resets.append(Reset(attempt: attempt, discardFrom: discardFrom))
    return append(
      name: "reset", data: Self.resetData(turnID: turnID, discardFrom: discardFrom),
      eventID: eventID)
  }

  /// Takes in a record of the log, in the log's order, as a reader does.
  package mutating func fold(_ record: Record, discardFrom: UInt64?) {
    guard record.position.attempt >= attempt else { return }
    if let discardFrom, discardFrom >= 1, discardFrom <= sequenceNext {
      records.removeSubrange((Int(discardFrom) - 1)...)
      resets.append(Reset(attempt: record.position.attempt, discardFrom: discardFrom))
    }
    // A record that was published twice stands already.
    guard record.position.sequence >= sequenceNext else { return }
    guard record.position.sequence == sequenceNext else {
      holes += 1
      return
    }
    attempt = record.position.attempt
    records.append(record)
    bytes += record.data.count + Self.recordOverhead
  }

  /// What a client is shown that has seen everything up to `lastEventID`; nil when that was the
  /// terminal, so that nothing follows.
  package func replay(turnID: ULID, after lastEventID: String?) -> [StreamEvent]? {
    guard let lastEventID else { return records.map(\.event) }
    guard let position = StreamPosition(lastEventID) else { return everything(turnID) }
    let index = Int(clamping: position.sequence)
    if index >= 1, index <= records.count, records[index - 1].position == position {
      if records[index - 1].event.isTerminal { return nil }
      return records[index...].map(\.event)
    }
    // A turn whose first owner's records were all lost was taken anew: it has none of theirs.
    guard let first = records.first, position.attempt >= first.position.attempt else {
      return everything(turnID)
    }
    // Voided by a later reset: the lowest of those since tells from where to show again.
    let lowest = resets.filter { $0.attempt > position.attempt }.map(\.discardFrom).min()
    guard let lowest, lowest <= position.sequence else { return everything(turnID) }
    return [resetEvent(turnID, discardFrom: lowest)] + records[(Int(lowest) - 1)...].map(\.event)
  }

  private func everything(_ turnID: ULID) -> [StreamEvent] {
    [resetEvent(turnID, discardFrom: 1)] + records.map(\.event)
  }

  /// A reset without an id is for one reader; it is no record.
  private func resetEvent(_ turnID: ULID, discardFrom: UInt64) -> StreamEvent {
    StreamEvent(
      name: "reset", position: nil,
      data: Self.resetData(turnID: turnID, discardFrom: discardFrom))
  }

  private static func resetData(turnID: ULID, discardFrom: UInt64) -> [UInt8] {
    var writer = JSONWriter(reserving: 64)
    writer.beginObject()
    writer.member("turn_id", turnID.description)
    writer.member("discard_from", discardFrom)
    writer.endObject()
    return writer.bytes
  }
}
