import Base
import Events

/// Takes one partition at start: folds its journal, reads back what its streams show, claims it,
/// and publishes what a lost owner did not (SEMANTICS D7, D20).
final class TakeOver {
  /// A turn to go on with.
  struct OpenTurn {
    var request: TurnRequest
    /// The log has its TurnEvent no more, or another one there (SEMANTICS D4).
    var isRequestLost: Bool
    var accepted: TurnAccepted
    var entries: [PartitionFold.Entry]
    /// False when some of its records are of a version that this one does not fold.
    var isFoldable: Bool
    var stream: TurnStream
  }

  struct Outcome {
    var journal: PartitionJournal
    var fold: PartitionFold
    var open: [OpenTurn]
    /// Streams of ended turns whose last records are on their way to the log again.
    var ended: [ULID: TurnStream]
    /// As the claim has them.
    var takeovers: [ULID: Int]
  }

  private let partition: Int
  private let events: EventPublisherSubscriber
  private let timers: any TimerService
  private let metrics: EngineMetrics
  private let options: EngineOptions
  private let streams: StreamReader
  private let onClaimed: () -> Void
  private var fold = PartitionFold()

  /// `onClaimed` is called once the claim is settled. Before that nothing may be shown: should the
  /// process die now, the next owner takes the same epoch, and clients could not tell them apart.
  init(
    partition: Int, events: EventPublisherSubscriber, timers: any TimerService,
    metrics: EngineMetrics, options: EngineOptions, onClaimed: @escaping () -> Void
  ) {
    self.onClaimed = onClaimed
    self.partition = partition
    self.events = events
    self.timers = timers
    self.metrics = metrics
    self.options = options
    streams = StreamReader(events: events)
  }

  func run(completion: @escaping (Result<Outcome, BusError>) -> Void) {
    events.readAll(
      TopicPartition(.journal, partition), from: 0,
      { [self] record in
        fold.apply(record)
        return true
      },
      completion: { [self] result in
        switch result {
        case .failure(let error): completion(.failure(error))
        case .success(let end): readStreams(journalEnd: end, completion)
        }
      })
  }

  /// The streams of turns that are open, or whose last records may not be published.
  private func readStreams(
    journalEnd: UInt64, _ completion: @escaping (Result<Outcome, BusError>) -> Void
  ) {
    let turnIDs = fold.openTurnIDs.union(fold.unpublishedTurnIDs)
    let start = fold.accepted.filter { turnIDs.contains($0.turnID) }.map(\.responsesOffset).min()
    guard let start else {
      return claim(journalEnd: journalEnd, [:], [], completion)
    }
    streams.read(turnIDs, partition: partition, from: start) { [self] result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let streams):
        let open = fold.openTurnIDs
        let order = fold.accepted.filter { open.contains($0.turnID) }
        readRequests(order, 0, []) { [self] result in
          switch result {
          case .failure(let error): completion(.failure(error))
          case .success(let requests):
            claim(journalEnd: journalEnd, streams, Array(zip(order, requests)), completion)
          }
        }
      }
    }
  }

  private func readRequests(
    _ turns: [TurnAccepted], _ index: Int, _ found: [TurnRequest?],
    _ completion: @escaping (Result<[TurnRequest?], BusError>) -> Void
  ) {
    guard index < turns.count else { return completion(.success(found)) }
    let target = TopicPartition(.turnsRequests, partition)
    events.read(target, at: turns[index].requestOffset) { [self] result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let record):
        let request = record.flatMap { TurnRequest(record: $0) }
        let isOurs = request?.eventID == turns[index].requestEventID
        readRequests(turns, index + 1, found + [isOurs ? request : nil], completion)
      }
    }
  }

  private func claim(
    journalEnd: UInt64, _ streams: [ULID: TurnStream], _ requests: [(TurnAccepted, TurnRequest?)],
    _ completion: @escaping (Result<Outcome, BusError>) -> Void
  ) {
    let epoch = (fold.claim?.epoch ?? 0) + 1
    let claim = OwnerClaim(
      node: options.node, claim: events.makeClaim(), epoch: epoch, takeovers: fold.takeoversNext)
    let journal = PartitionJournal(
      partition: partition,
      stamp: OwnerStamp(
        epoch: epoch, claim: claim.claim, consumed: fold.consumed,
        foldVersion: EngineLimits.foldVersion),
      endOffset: journalEnd, events: events, timers: timers, metrics: metrics)
    journal.record(
      .claim(claim),
      PartitionJournal.Labels(traceID: events.makeTraceID(), tenantID: nil, sessionID: nil)
    ) { [onClaimed] _ in onClaimed() }
    let streams = publishAgain(on: journal, streams, epoch: epoch)
    let open = requests.compactMap { accepted, request -> OpenTurn? in
      guard let turn = fold.openTurn(accepted.turnID) else { return nil }
      let traceID = turn.entries.first?.envelope.traceID ?? ""
      return OpenTurn(
        request: request ?? TurnRequest(lost: accepted, traceID: traceID),
        isRequestLost: request == nil, accepted: turn.accepted, entries: turn.entries,
        isFoldable: turn.isFoldable,
        stream: streams[accepted.turnID].flatMap { $0.records.isEmpty ? nil : $0 }
          ?? TurnStream(epoch: epoch))
    }
    completion(
      .success(
        Outcome(
          journal: journal, fold: fold, open: open, ended: streams.filter { $0.value.isEnded },
          takeovers: claim.takeovers)))
  }

  // MARK: Publishing again

  private func publishAgain(
    on journal: PartitionJournal, _ read: [ULID: TurnStream], epoch: UInt64
  ) -> [ULID: TurnStream] {
    var streams = read
    for entry in fold.unpublishedEntries() {
      if let (topic, type) = entry.record.publishedAs {
        journal.republish(topic, record(entry, topic, type, entry.payload))
      }
      guard let turnID = entry.record.turnID, entry.record.streamEvent != nil else { continue }
      var stream = streams[turnID] ?? TurnStream()
      restore(entry, of: turnID, in: &stream, journal, epoch)
      streams[turnID] = stream
    }
    return streams
  }

  /// Makes the stream show a settled record: nothing when it does already, the record as it was
  /// when its place is the next, and behind a reset when something before it never got through.
  private func restore(
    _ entry: PartitionFold.Entry, of turnID: ULID, in stream: inout TurnStream,
    _ journal: PartitionJournal, _ epoch: UInt64
  ) {
    let eventID = publishedEventID(entry.envelope.eventID, .turnsResponses)
    guard !stream.records.contains(where: { $0.eventID == eventID }),
      let event = entry.record.streamEvent, let position = entry.record.position
    else { return }
    if position.sequence == stream.sequenceNext, position.attempt >= stream.attempt {
      stream.fold(
        TurnStream.Record(
          position: position, name: event.name, data: event.data, eventID: eventID),
        discardFrom: nil)
      republish(stream.records[stream.records.count - 1], entry, journal)
      return
    }
    guard stream.canOpenEpoch else { return }
    if stream.attempt < epoch << 16 {
      let reset = stream.openEpoch(epoch, turnID: turnID, eventID: events.makeID())
      republish(reset, entry, journal)
    }
    if case .finished(let step) = entry.record,
      case .message(let text, _, _, _) = step.outcome.output, !text.isEmpty
    {
      let delta = stream.append(
        name: "delta", data: deltaData(turnID: turnID, stepID: step.stepID, text: text),
        eventID: events.makeID())
      republish(delta, entry, journal)
    }
    republish(
      stream.append(name: event.name, data: event.data, eventID: eventID), entry, journal)
  }

  private func republish(
    _ streamRecord: TurnStream.Record, _ entry: PartitionFold.Entry, _ journal: PartitionJournal
  ) {
    let payload = responsePayload(
      name: streamRecord.name, position: streamRecord.position, data: streamRecord.data)
    var envelope = entry.envelope
    envelope.eventID = streamRecord.eventID
    envelope.type = "TurnResponseEvent.v1"
    envelope.causationID = entry.envelope.eventID
    journal.republish(.turnsResponses, envelope.record(payload: payload))
  }

  private func record(
    _ entry: PartitionFold.Entry, _ topic: Topic, _ type: String, _ payload: [UInt8]
  ) -> BusRecord {
    var envelope = entry.envelope
    envelope.eventID = publishedEventID(entry.envelope.eventID, topic)
    envelope.type = type
    envelope.causationID = entry.envelope.eventID
    return envelope.record(payload: payload)
  }
}

extension TurnStream {
  /// Voids the text of a step that was cut short and opens `epoch`: the first record of a new
  /// epoch is a reset (SEMANTICS D20).
  mutating func openEpoch(_ epoch: UInt64, turnID: ULID, eventID: ULID) -> Record {
    reset(
      turnID: turnID, discardFrom: sequenceAfterText, attempt: epoch << 16, eventID: eventID)
  }

  /// A turn's first record is never a reset; a log that lost it has nothing to go on from.
  var canOpenEpoch: Bool { sequenceAfterText >= 2 }

  /// The sequence after the last record that is no delta: where text begins anew.
  var sequenceAfterText: UInt64 {
    UInt64(records.lastIndex { $0.name != "delta" }.map { $0 + 1 } ?? 0) + 1
  }
}
