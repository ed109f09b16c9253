import Base
import Events

/// Folds one partition's journal: which claim is valid, what counts, and the state it gives
/// (SEMANTICS D7, D8). Pure: records in, state out.
struct PartitionFold {
  /// A record that counts, with what is needed to publish it again.
  struct Entry {
    var envelope: EventEnvelope
    var record: JournalRecord
    var payload: [UInt8]
  }

  /// A turn that was accepted and has not ended, with every record about it.
  struct OpenTurn {
    var accepted: TurnAccepted
    var entries: [Entry]
    /// False when records about it are of a version that this one does not fold (SEMANTICS D34).
    var isFoldable: Bool
  }

  /// A record as its bytes: most are of turns that end a little further on, and are never decoded.
  private struct Kept {
    var offset: UInt64
    var appendTime: Timestamp
    var turnID: ULID?
    /// Written by a release whose records mean what this one cannot know.
    var isNewer: Bool
    var bytes: [UInt8]
  }

  private(set) var claim: OwnerClaim?
  private(set) var isReleased = false
  /// What the last record that counts had consumed.
  private(set) var consumed = InputOffsets(requests: 0, control: 0)
  /// Turns in the order they were accepted, ended ones too.
  private(set) var accepted: [TurnAccepted] = []
  private(set) var ends: [ULID: (status: TurnStatus, offset: UInt64)] = [:]
  private var open: [ULID: (accepted: TurnAccepted, kept: [Kept])] = [:]
  /// Records above the last published mark.
  private var unpublished: [Kept] = []
  /// Turns whose steps did not survive earlier owners, and how often.
  private(set) var takeovers: [ULID: Int] = [:]
  private(set) var lastResuming: ULID?
  /// Records of owners whose claim was not the last valid one when they were written.
  private(set) var voidRecords = 0
  private(set) var unknownRecords = 0
  private var eventIDs: Set<ULID> = []

  mutating func apply(_ polled: PolledRecord) {
    guard let envelope = EnvelopeScanner(polled.payloadBytes), let stamp = envelope.owner else {
      unknownRecords += 1
      return
    }
    if envelope.isType("OwnerClaim.v1") { return apply(claim: envelope, stamp) }
    guard stamp.epoch == claim?.epoch, stamp.claim == claim?.claim,
      eventIDs.insert(envelope.eventID).inserted
    else {
      voidRecords += 1
      return
    }
    consumed = stamp.consumed
    let isNewer =
      stamp.foldVersion > EngineLimits.foldVersion
      || envelope.text(envelope.specVersion)?.hasPrefix(Self.specMajor) != true
    count(polled, envelope, isNewer: isNewer)
  }

  private mutating func apply(claim envelope: EnvelopeScanner, _ stamp: OwnerStamp) {
    guard case .claim(let next) = JournalRecord(envelope) else {
      unknownRecords += 1
      return
    }
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
  }

  /// How often the steps of each open turn have died with their owner, this time included, should
  /// somebody take over now.
  var takeoversNext: [ULID: Int] {
    var counts = takeovers
    guard !isReleased else { return counts }
    for (turnID, turn) in open where Self.hasRunningStep(turn.kept.compactMap(Self.entry)) {
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

  /// Minor versions only add; another major is another language.
  private static let specMajor = EventEnvelope.specVersion.prefix { $0 != "." } + "."

  private mutating func count(
    _ polled: PolledRecord, _ envelope: EnvelopeScanner, isNewer: Bool
  ) {
    let scanner = envelope.scanner
    let turnID = scanner.member("turn_id", in: envelope.payload)
      .flatMap { scanner.string($0) }.flatMap { ULID($0) }
    let kept = Kept(
      offset: polled.offset, appendTime: polled.appendTime, turnID: turnID,
      isNewer: isNewer, bytes: Array(polled.payloadBytes))
    unpublished.append(kept)
    guard let turnID else {
      guard envelope.isType("OwnerReleased.v1") else { return unknownRecords += 1 }
      isReleased = true
      return trim(envelope)
    }
    if envelope.isType("TurnAccepted.v1") {
      guard case .accepted(let turn) = JournalRecord(envelope) else { return unknownRecords += 1 }
      accepted.append(turn)
      open[turnID] = (turn, [kept])
      return
    }
    open[turnID]?.kept.append(kept)
    if envelope.isType("StepFinished.v1") {
      takeovers[turnID] = nil
    } else if envelope.isType("TurnResuming.v1") {
      lastResuming = turnID
    } else if envelope.isType("TurnEnded.v1") {
      end(turnID, at: polled.offset, envelope)
    }
  }

  private mutating func end(
    _ turnID: ULID, at offset: UInt64, _ envelope: EnvelopeScanner
  ) {
    let scanner = envelope.scanner
    let status = scanner.member("status", in: envelope.payload)
      .flatMap { scanner.string($0) }.flatMap { TurnStatus(rawValue: $0) }
    ends[turnID] = (status ?? .failed, offset)
    open[turnID] = nil
    takeovers[turnID] = nil
    trim(envelope)
  }

  /// Forgets what is published, by the mark that the record carries.
  private mutating func trim(_ envelope: EnvelopeScanner) {
    guard let range = envelope.scanner.member("published", in: envelope.payload),
      let mark = envelope.scanner.integer(range)
    else { return }
    unpublished.removeAll { $0.offset < UInt64(max(0, mark)) }
  }

  // MARK: What is left at the end

  var openTurnIDs: Set<ULID> { Set(open.keys) }

  func openTurn(_ turnID: ULID) -> OpenTurn? {
    open[turnID].map { turn in
      let entries = turn.kept.compactMap(Self.entry)
      return OpenTurn(
        accepted: turn.accepted, entries: entries,
        isFoldable: entries.count == turn.kept.count && !turn.kept.contains(where: \.isNewer))
    }
  }

  var unpublishedTurnIDs: Set<ULID> { Set(unpublished.compactMap(\.turnID)) }

  /// Records above the last published mark, in order.
  func unpublishedEntries() -> [Entry] { unpublished.compactMap(Self.entry) }

  private static func entry(_ kept: Kept) -> Entry? {
    kept.bytes.withUnsafeBytes { bytes in
      guard let envelope = EnvelopeScanner(bytes), let record = JournalRecord(envelope) else {
        return nil
      }
      let time = envelope.text(envelope.timestamp).flatMap { Timestamp(rfc3339: $0) }
      return Entry(
        envelope: EventEnvelope(
          eventID: envelope.eventID, type: record.eventType, timestamp: time ?? kept.appendTime,
          traceID: envelope.text(envelope.traceID) ?? "",
          tenantID: envelope.text(envelope.tenantID),
          sessionID: envelope.text(envelope.sessionID)),
        record: record, payload: Array(bytes[envelope.payload]))
    }
  }
}
