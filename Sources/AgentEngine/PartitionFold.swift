import Base
import Events

/// Folds one partition's journal: which claim is valid, what counts, and the state it gives
/// (SEMANTICS D7, D8). Pure: records in, state out.
struct PartitionFold {
  /// A record that counts, with what is needed to publish it again.
  struct Entry {
    var offset: UInt64
    var envelope: EventEnvelope
    var record: JournalRecord
    var payload: [UInt8]
  }

  /// A turn that was accepted and has not ended, with every record about it.
  struct OpenTurn {
    var accepted: TurnAccepted
    var entries: [Entry]
  }

  private(set) var claim: OwnerClaim?
  private(set) var isReleased = false
  /// What the last record that counts had consumed.
  private(set) var consumed = InputOffsets(requests: 0, control: 0)
  /// Turns in the order they were accepted, ended ones too.
  private(set) var accepted: [TurnAccepted] = []
  private(set) var ends: [ULID: (status: TurnStatus, offset: UInt64)] = [:]
  private(set) var open: [ULID: OpenTurn] = [:]
  /// Records above the last published mark.
  private(set) var unpublished: [Entry] = []
  /// Turns whose steps did not survive earlier owners, and how often.
  private(set) var takeovers: [ULID: Int] = [:]
  private(set) var lastResuming: ULID?
  /// Records of owners whose claim was not the last valid one when they were written.
  private(set) var voidRecords = 0
  private(set) var unknownRecords = 0
  private var eventIDs: Set<ULID> = []

  mutating func apply(_ polled: PolledRecord) {
    guard let envelope = EnvelopeScanner(polled.payloadBytes), let stamp = envelope.owner,
      let record = JournalRecord(envelope)
    else {
      unknownRecords += 1
      return
    }
    if case .claim(let next) = record {
      // The log's order decides: an epoch that is not above all valid ones before it is void.
      guard next.epoch > claim?.epoch ?? 0 else {
        voidRecords += 1
        return
      }
      claim = next
      takeovers = next.takeovers
      isReleased = false
      lastResuming = nil
      consumed = stamp.consumed
      eventIDs.removeAll(keepingCapacity: true)
      return
    }
    guard stamp.epoch == claim?.epoch, stamp.claim == claim?.claim,
      eventIDs.insert(envelope.eventID).inserted
    else {
      voidRecords += 1
      return
    }
    consumed = stamp.consumed
    count(record, polled, envelope)
  }

  /// How often the steps of each open turn have died with their owner, this time included, should
  /// somebody take over now.
  var takeoversNext: [ULID: Int] {
    var counts = takeovers
    guard !isReleased else { return counts }
    for (turnID, turn) in open where Self.hasRunningStep(turn.entries) {
      let before = counts[turnID] ?? 0
      // Resumed one at a time: only the one that was named is to blame (SEMANTICS D19).
      guard before < TurnManager.aloneFrom || lastResuming == turnID else { continue }
      counts[turnID] = before + 1
    }
    return counts
  }

  private static func hasRunningStep(_ entries: [Entry]) -> Bool {
    var running: Set<Int> = []
    for entry in entries {
      switch entry.record {
      case .started(let step): running.insert(step.step.index)
      case .finished(let step): running.remove(step.index)
      default: break
      }
    }
    return !running.isEmpty
  }

  private mutating func count(
    _ record: JournalRecord, _ polled: PolledRecord, _ envelope: EnvelopeScanner
  ) {
    let entry = Self.entry(record, polled, envelope)
    unpublished.append(entry)
    if let turnID = record.turnID { open[turnID]?.entries.append(entry) }
    switch record {
    case .accepted(let turn):
      accepted.append(turn)
      open[turn.turnID] = OpenTurn(accepted: turn, entries: [entry])
    case .finished(let step): takeovers[step.turnID] = nil
    case .ended(let end):
      ends[end.turnID] = (end.status, polled.offset)
      open[end.turnID] = nil
      takeovers[end.turnID] = nil
      trim(end.published)
    case .released(let release):
      isReleased = true
      trim(release.published)
    case .resuming(let turn): lastResuming = turn.turnID
    case .claim, .planned, .started: break
    }
  }

  private mutating func trim(_ mark: PublishedMark?) {
    guard let mark else { return }
    unpublished.removeAll { $0.offset < mark.journal }
  }

  private static func entry(
    _ record: JournalRecord, _ polled: PolledRecord, _ envelope: EnvelopeScanner
  ) -> Entry {
    let time = envelope.text(envelope.timestamp).flatMap { Timestamp(rfc3339: $0) }
    return Entry(
      offset: polled.offset,
      envelope: EventEnvelope(
        eventID: envelope.eventID, type: record.eventType, timestamp: time ?? polled.appendTime,
        traceID: envelope.text(envelope.traceID) ?? "",
        tenantID: envelope.text(envelope.tenantID), sessionID: envelope.text(envelope.sessionID)),
      record: record,
      payload: Array(polled.payloadBytes[envelope.payload]))
  }
}
