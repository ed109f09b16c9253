package import Base
package import Events

/// Appends to one partition's journal and publishes what is settled (SEMANTICS D3, D8).
///
/// One append is under way at a time: what is recorded meanwhile shares the next, and a failed
/// append is made again before anything that came after it, so that the journal has no gaps.
package final class PartitionJournal {
  private struct Entry {
    var record: BusRecord
    var consumed: InputOffsets
    /// What it publishes cannot wait: somebody has been promised an end.
    var isUrgent: Bool
    var onSettled: ((_ offset: UInt64) -> Void)?
  }

  private struct Outgoing {
    var topic: Topic
    var record: BusRecord
    /// Number of the journal entry, from 1, that must be settled first; 0 for deltas, which need
    /// none of their own.
    var needs: UInt64
    /// From an earlier owner's records: the published mark stays where it is until it is through.
    var isRepeat = false
  }

  package let partition: Int
  /// Epoch, claim and consumed offsets that go into each record.
  package var stamp: OwnerStamp
  /// Where the next journal record will be; the log must agree (D8).
  package private(set) var endOffset: UInt64
  /// What the last settled record had consumed.
  package private(set) var settledInputs: InputOffsets
  /// Called when `settledInputs` has advanced.
  package var onInputsSettled: (() -> Void)?
  /// Called when the partition can be written no more, with the reason: somebody else has taken it,
  /// or the bus refuses for good.
  package var onLost: ((String) -> Void)?

  private let events: EventPublisherSubscriber
  private let timers: any TimerService
  private let metrics: EngineMetrics
  private let firstOffset: UInt64
  private var waiting: [Entry] = []
  private var outgoing: [Outgoing] = []
  private var outgoingInFlight: [Outgoing] = []
  private var recorded: UInt64 = 0
  private var settled: UInt64 = 0
  private var isAppending = false
  private var isFlushScheduled = false
  private var publishTimer: (any Cancellable)?
  private var isClosed = false
  private var idleWaiters: [() -> Void] = []

  package init(
    partition: Int, stamp: OwnerStamp, endOffset: UInt64, events: EventPublisherSubscriber,
    timers: any TimerService, metrics: EngineMetrics
  ) {
    self.partition = partition
    self.stamp = stamp
    self.endOffset = endOffset
    settledInputs = stamp.consumed
    firstOffset = endOffset
    self.events = events
    self.timers = timers
    self.metrics = metrics
  }

  /// Journal records below it are published and acknowledged; nil while it cannot be told.
  package var publishedMark: PublishedMark? {
    for list in [outgoingInFlight, outgoing] {
      if list.first?.isRepeat == true { return nil }
      if let first = list.first(where: { $0.needs > 0 }) {
        return PublishedMark(journal: firstOffset + first.needs - 1)
      }
    }
    return PublishedMark(journal: firstOffset + recorded)
  }

  package struct Labels {
    var traceID: String
    var tenantID: String?
    var sessionID: String?
  }

  /// Records a decision and returns its event's id. It is on its way when this returns;
  /// `onSettled` gets its offset.
  @discardableResult
  package func record(
    _ record: JournalRecord, _ labels: Labels, onSettled: ((_ offset: UInt64) -> Void)? = nil
  ) -> ULID {
    let envelope = EventEnvelope(
      eventID: events.makeID(), type: record.eventType, timestamp: events.clock.wall(),
      traceID: labels.traceID, tenantID: labels.tenantID, sessionID: labels.sessionID,
      owner: stamp)
    let payload = record.payload.encoded
    waiting.append(
      Entry(
        record: envelope.record(payload: payload), consumed: stamp.consumed,
        isUrgent: record.isEnd, onSettled: onSettled))
    recorded += 1
    for publication in Self.publications(of: record, payload: payload, envelope: envelope) {
      outgoing.append(
        Outgoing(topic: publication.topic, record: publication.record, needs: recorded))
    }
    scheduleFlush()
    return envelope.eventID
  }

  /// What a journal record, known by its envelope, repeats on the published topics.
  static func publications(
    of record: JournalRecord, payload: [UInt8], envelope: EventEnvelope
  ) -> [(topic: Topic, record: BusRecord)] {
    var out: [(topic: Topic, record: BusRecord)] = []
    func publish(_ topic: Topic, _ type: String, _ payload: [UInt8]) {
      var copy = envelope
      copy.eventID = publishedEventID(envelope.eventID, topic)
      copy.type = type
      copy.causationID = envelope.eventID
      copy.owner = nil
      out.append((topic, copy.record(payload: payload)))
    }
    if let (topic, type) = record.publishedAs { publish(topic, type, payload) }
    if let event = record.streamEvent, let position = record.position {
      publish(
        .turnsResponses, "TurnResponseEvent.v1",
        responsePayload(name: event.name, position: position, data: event.data))
    }
    return out
  }

  /// Publishes a record of the stream that is no decision: a delta or a reset. It follows what was
  /// recorded before it, and waits a moment for company.
  package func publish(
    _ name: String, _ position: StreamPosition, _ data: [UInt8], eventID: ULID, _ labels: Labels
  ) {
    let envelope = EventEnvelope(
      eventID: eventID, type: "TurnResponseEvent.v1", timestamp: events.clock.wall(),
      traceID: labels.traceID, tenantID: labels.tenantID, sessionID: labels.sessionID)
    let payload = responsePayload(name: name, position: position, data: data)
    outgoing.append(
      Outgoing(topic: .turnsResponses, record: envelope.record(payload: payload), needs: 0))
    schedulePublish()
  }

  /// Publishes again what an earlier owner may not have published (SEMANTICS D20).
  package func republish(_ topic: Topic, _ record: BusRecord) {
    outgoing.append(Outgoing(topic: topic, record: record, needs: 0, isRepeat: true))
    schedulePublish()
  }

  /// Stops appending; what is not settled stays undecided for the next owner.
  package func close() {
    isClosed = true
    publishTimer?.cancel()
  }

  /// Calls `body` once everything recorded and published so far is acknowledged.
  package func whenIdle(_ body: @escaping () -> Void) {
    idleWaiters.append(body)
    scheduleFlush()
  }

  // MARK: Appending

  private func scheduleFlush() {
    guard !isFlushScheduled, !isAppending else { return }
    isFlushScheduled = true
    // At the end of this turn of the loop, so that decisions made together share one append.
    timers.schedule(after: .zero) { [weak self] in
      self?.isFlushScheduled = false
      self?.flush()
    }
  }

  private func schedulePublish() {
    guard publishTimer == nil else { return }
    publishTimer = timers.schedule(after: EngineLimits.publishDelay) { [weak self] in
      self?.publishTimer = nil
      self?.flush()
    }
  }

  private func flush() {
    guard !isAppending, !isClosed else { return }
    var room = EngineLimits.appendBytes
    // At least one goes, however large.
    func fits(_ record: BusRecord) -> Bool {
      defer { room -= record.payload.count }
      return room == EngineLimits.appendBytes || record.payload.count <= room
    }
    let entries = Array(waiting.prefix { fits($0.record) })
    let ready = outgoing.prefix { $0.needs <= settled && fits($0.record) }
    guard !entries.isEmpty || !ready.isEmpty else { return answerIdle() }
    publishTimer?.cancel()
    publishTimer = nil
    waiting.removeFirst(entries.count)
    outgoingInFlight = Array(ready)
    outgoing.removeFirst(ready.count)
    isAppending = true
    append(entries, outgoingInFlight)
  }

  private func append(_ entries: [Entry], _ ready: [Outgoing]) {
    var batches: [PartitionBatch] = []
    if !entries.isEmpty {
      batches.append(
        PartitionBatch(TopicPartition(.journal, partition), entries.map(\.record)))
    }
    for topic in [Topic.plans, .stepsRequests, .stepsResults, .turnsResponses] {
      let records = ready.filter { $0.topic == topic }.map(\.record)
      guard !records.isEmpty else { continue }
      batches.append(PartitionBatch(TopicPartition(topic, partition), records))
    }
    events.bus.append(batches) { [self] result in
      switch result {
      case .success(let offsets): appended(entries, offsets)
      case .failure(let error): retry(entries, ready, after: error)
      }
    }
  }

  private func appended(_ entries: [Entry], _ offsets: [UInt64]) {
    // D8: an acknowledgement at the end of our own last append proves that nobody came between.
    guard !entries.isEmpty, offsets[0] != endOffset else {
      return settle(entries, at: entries.indices.map { endOffset + UInt64($0) }, end: endOffset)
    }
    readBetween(entries, first: offsets[0])
  }

  /// Reads what lies between our last append and this one: repeats of our own, from an append that
  /// failed and was kept all the same, are skipped (the first counts); a claim ends the ownership.
  private func readBetween(_ entries: [Entry], first: UInt64) {
    var seen: [ULID: UInt64] = [:]
    var isOurs = first > endOffset
    events.readAll(
      TopicPartition(.journal, partition), from: endOffset,
      { [stamp] record in
        guard record.offset < first else { return false }
        guard let envelope = EnvelopeScanner(record.payloadBytes),
          envelope.owner?.claim == stamp.claim
        else {
          isOurs = false
          return false
        }
        seen[envelope.eventID] = seen[envelope.eventID] ?? record.offset
        return true
      },
      completion: { [self] result in
        guard case .success = result, isOurs else {
          close()
          onLost?("another node has taken the partition")
          return
        }
        let offsets = entries.enumerated().map { index, entry in
          seen[entry.record.eventID] ?? first + UInt64(index)
        }
        settle(entries, at: offsets, end: first)
      })
  }

  /// `end` is where the append that held `entries` began.
  private func settle(_ entries: [Entry], at offsets: [UInt64], end: UInt64) {
    isAppending = false
    outgoingInFlight = []
    guard !isClosed else { return }
    endOffset = end + UInt64(entries.count)
    settled += UInt64(entries.count)
    if let consumed = entries.last?.consumed, consumed != settledInputs {
      settledInputs = consumed
      onInputsSettled?()
    }
    for (entry, offset) in zip(entries, offsets) { entry.onSettled?(offset) }
    // Ends go out at once, with everything before them; the rest waits a moment for company.
    if !waiting.isEmpty || entries.contains(where: \.isUrgent) || !idleWaiters.isEmpty {
      scheduleFlush()
    } else if !outgoing.isEmpty {
      schedulePublish()
    }
  }

  /// The bus has no space or is gone for now: the same records again, before anything newer.
  private func retry(_ entries: [Entry], _ ready: [Outgoing], after error: BusError) {
    guard !isClosed else { return }
    switch error {
    case .diskFull, .unavailable: metrics.appendRetries.add()
    case .unconfirmed, .recordTooLarge, .unknownPartition, .damaged, .belowStart,
      .leaseExceeded:
      // Written again it might be there twice, or no later attempt can succeed; and nothing newer
      // may go before it.
      close()
      onLost?("the journal cannot be written: \(error)")
      return
    }
    timers.schedule(after: EngineLimits.appendRetryDelay) { [weak self] in
      guard let self, !isClosed else { return }
      append(entries, ready)
    }
  }

  private func answerIdle() {
    guard outgoing.isEmpty, waiting.isEmpty, !isAppending else { return }
    let waiters = idleWaiters
    idleWaiters = []
    for waiter in waiters { waiter() }
  }
}
