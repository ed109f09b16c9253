package import Base
package import Events

/// Manages turns from their TurnEvent to their end: takes them, runs them in their session's
/// order, records every decision, and shows their streams. The engine's front (`TurnService`).
package final class TurnManager {
  /// Deaths from which a turn is resumed alone (SEMANTICS D19).
  static let aloneFrom = 2

  /// May change while turns run; what has begun goes on under what it began with.
  package var options: EngineOptions {
    didSet {
      planner = Self.planner(options, events)
      processor.options = options
    }
  }
  let services: EngineServices
  let events: EventPublisherSubscriber
  let timers: any TimerService
  let logger: Logger
  package let metrics: EngineMetrics
  private(set) var planner: PlanExecutor
  let processor: StepProcessor
  let history: HistoryStore
  let streamReader: StreamReader

  var partitions: [PartitionOwner] = []
  var sessions: [String: SessionState] = [:]
  /// Which session a turn belongs to, for every turn the log still has.
  var sessionOfTurn: [ULID: SessionState] = [:]
  /// Every turn; once sorted in the order of its id, which is the order of its time.
  var turnOrder: [ULID] = []
  var isTurnOrderSorted = true
  var live: [ULID: LiveTurn] = [:]
  var endedStreams = StreamCache(bytesMax: EngineLimits.streamCacheBytes)
  /// Repeats of submissions that the bus has not acknowledged yet.
  var pendingRepeats: [ULID: [(Result<TurnAdmission, Problem>) -> Void]] = [:]
  package internal(set) var isDraining = false
  var drainWaiter: (() -> Void)?

  package init(
    options: EngineOptions, services: EngineServices, events: EventPublisherSubscriber,
    timers: any TimerService, metrics: EngineMetrics, logger: Logger
  ) {
    self.options = options
    self.services = services
    self.events = events
    self.timers = timers
    self.logger = logger
    self.metrics = metrics
    planner = Self.planner(options, events)
    processor = StepProcessor(
      services: services, options: options, timers: timers, metrics: metrics)
    history = HistoryStore(events: events)
    streamReader = StreamReader(events: events)
  }

  private static func planner(_ options: EngineOptions, _ events: EventPublisherSubscriber)
    -> PlanExecutor
  {
    PlanExecutor(options: options, makeID: { events.makeID() })
  }

  var now: Timestamp { events.clock.wall() }

  // MARK: Start

  /// Takes every partition and resumes what was left; `completion` is called when all of them
  /// serve, or with what stands in the way.
  package func start(completion: @escaping (Result<Void, BusError>) -> Void) {
    partitions = (0..<events.bus.partitionCount).map { PartitionOwner(partition: $0) }
    var left = partitions.count
    var failure: BusError?
    func done(_ owner: PartitionOwner, _ error: BusError?) {
      if let error {
        owner.fault = "\(error)"
        failure = error
      }
      left -= 1
      if left == 0 { completion(failure.map { .failure($0) } ?? .success(())) }
    }
    for owner in partitions {
      let takeOver = TakeOver(
        partition: owner.partition, events: events, timers: timers, metrics: metrics,
        options: options,
        onClaimed: { [self] in
          owner.isClaimed = true
          open(owner)
        })
      takeOver.run { [self] result in
        switch result {
        case .success(let outcome): take(owner, outcome) { done(owner, $0) }
        case .failure(let error): done(owner, error)
        }
      }
    }
  }

  private func take(
    _ owner: PartitionOwner, _ outcome: TakeOver.Outcome, completion: @escaping (BusError?) -> Void
  ) {
    owner.journal = outcome.journal
    outcome.journal.onLost = { [weak self, weak owner] reason in
      owner?.fault = reason
      self?.logger.error(
        "partition lost",
        ["partition": .int(Int64(owner?.partition ?? -1)), "reason": .string(reason)])
      if let self, let owner { abandonTurns(of: owner) }
    }
    outcome.journal.onInputsSettled = { [weak self, weak owner] in
      if let self, let owner { scheduleOffset(owner) }
    }
    restore(owner, outcome.fold)
    for (turnID, stream) in outcome.ended { endedStreams.insert(stream, for: turnID) }
    for turn in outcome.open { resume(turn, owner, outcome.takeovers) }
    // What it was sent while nobody owned it comes first: a turn may have been cancelled.
    catchUp(owner) { [self] error in
      if let error { return completion(error) }
      readControl(owner) { [self] error in
        owner.hasRead = error == nil
        open(owner)
        completion(error)
      }
    }
  }

  private func open(_ owner: PartitionOwner) {
    guard owner.isOpen else { return }
    resumeNextAlone(owner)
    let waiting = owner.sessionsToRun
    owner.sessionsToRun = []
    for session in waiting { runNext(in: session) }
  }

  /// Rebuilds what is known of sessions and their turns.
  private func restore(_ owner: PartitionOwner, _ fold: PartitionFold) {
    for accepted in fold.accepted {
      let session = session(accepted.sessionID, accepted.principal)
      let end = fold.ends[accepted.turnID]
      session.turns.append(
        SessionState.TurnReference(
          turnID: accepted.turnID, status: end?.status ?? .queued,
          createdAt: accepted.createdAt, requestOffset: accepted.requestOffset,
          responsesOffset: accepted.responsesOffset, endedOffset: end?.offset))
      if let key = accepted.idempotencyKey {
        session.idempotency[key] = SessionState.IdempotentTurn(
          turnID: accepted.turnID, bodyDigest: accepted.bodyDigest,
          createdAt: accepted.createdAt)
      }
      index(accepted.turnID, session)
    }
    if fold.voidRecords + fold.unknownRecords > 0 {
      logger.warning(
        "journal records that do not count",
        [
          "partition": .int(Int64(owner.partition)), "void": .int(Int64(fold.voidRecords)),
          "unknown": .int(Int64(fold.unknownRecords)),
        ])
    }
  }

  /// Goes on with a turn that its last owner left open.
  private func resume(
    _ turn: TakeOver.OpenTurn, _ owner: PartitionOwner, _ takeovers: [ULID: Int]
  ) {
    guard let session = sessions[turn.request.sessionID] else { return }
    let personality = services.personalities.personality(id: turn.request.personalityID)
    let pinned = personality ?? .missing(turn.request.personalityID)
    var machine = TurnMachine(request: turn.request, personality: pinned)
    if turn.isFoldable { for entry in turn.entries { machine.apply(entry.record) } }
    let hadStep = machine.hasRunningStep
    machine.interruptSteps { planner.effect(of: $0, in: pinned) }
    let live = LiveTurn(machine: machine, stream: turn.stream, session: session)
    self.live[turn.request.turnID] = live
    openEpoch(live, owner)
    metrics.takeovers.add(hadStep ? 1 : 0)
    session.queue.append(live)
    let deaths = takeovers[turn.request.turnID] ?? 0
    if turn.isRequestLost {
      let text = "the log does not have this turn's event any more"
      end(live, TurnFailure(.internal, text, retryable: false))
    } else if !turn.isFoldable {
      park(session)
      armDeadline(live)
    } else if personality?.digest != turn.accepted.packDigest {
      end(live, packUnavailable(turn.request.personalityID))
    } else if deaths >= options.takeoversMax {
      let text = "the node died \(deaths) times while steps of this turn ran"
      end(live, TurnFailure(.poison, text, retryable: false))
    } else {
      armDeadline(live)
      if deaths >= Self.aloneFrom {
        live.resumesAlone = true
        owner.aloneQueue.append(live)
      }
    }
    runNext(in: session)
  }

  private func park(_ session: SessionState) {
    guard !session.isParked else { return }
    session.isParked = true
    logger.error(
      "session parked: a newer release wrote records of its turns; start that release again",
      ["session_id": .string(session.id)])
  }

  /// The first record of a new epoch is a reset, unless publishing again has opened it already.
  private func openEpoch(_ live: LiveTurn, _ owner: PartitionOwner) {
    guard let journal = owner.journal else { return }
    let epoch = journal.stamp.epoch
    guard live.stream.canOpenEpoch, live.stream.attempt < epoch << 16 else { return }
    let reset = live.stream.openEpoch(epoch, turnID: live.turnID, eventID: events.makeID())
    journal.publish(
      reset.name, reset.position, reset.data, eventID: reset.eventID, live.labels)
  }

  private func packUnavailable(_ id: String) -> TurnFailure {
    TurnFailure(
      .packUnavailable, "the personality \(id) is not there at the version the turn began with")
  }

  /// Resumes the next of the turns that are resumed one at a time, once it is on the log.
  func resumeNextAlone(_ owner: PartitionOwner) {
    owner.aloneQueue.removeAll(where: \.isEnding)
    guard owner.isOpen, owner.alone == nil, let journal = owner.journal, !owner.aloneQueue.isEmpty
    else {
      return
    }
    let live = owner.aloneQueue.removeFirst()
    owner.alone = live
    journal.record(.resuming(TurnResuming(turnID: live.turnID)), live.labels) { [self] _ in
      live.resumesAlone = false
      runNext(in: live.session)
    }
  }

  /// Tells the bus how far requests are consumed: for lag only (SEMANTICS D12), so it may be late.
  private func scheduleOffset(_ owner: PartitionOwner) {
    guard !owner.isOffsetDue else { return }
    owner.isOffsetDue = true
    timers.schedule(after: EngineLimits.groupOffsetDelay) { [self] in
      owner.isOffsetDue = false
      guard let consumed = owner.journal?.settledInputs.requests, consumed > 0 else { return }
      let target = TopicPartition(.turnsRequests, owner.partition)
      guard events.bus.storedOffset(group: EngineLimits.group, of: target) != consumed - 1 else {
        return
      }
      events.bus.storeOffset(consumed - 1, group: EngineLimits.group, of: target) { [logger] in
        if case .failure(let error) = $0 {
          logger.debug("group offset not stored", ["error": .string("\(error)")])
        }
      }
    }
  }

  // MARK: Sessions

  func session(_ id: String, _ principal: Principal) -> SessionState {
    if let session = sessions[id] { return session }
    let session = SessionState(
      id: id, partition: partition(ofSession: id, count: partitions.count),
      principal: principal)
    sessions[id] = session
    return session
  }

  func index(_ turnID: ULID, _ session: SessionState) {
    sessionOfTurn[turnID] = session
    // Nearly always the newest; a start reads partition after partition, and sorts once.
    if let last = turnOrder.last, last > turnID { isTurnOrderSorted = false }
    turnOrder.append(turnID)
  }

  /// Starts the session's next turn when none is running.
  func runNext(in session: SessionState) {
    let owner = owner(of: session)
    guard owner.isOpen else { return owner.sessionsToRun.append(session) }
    guard session.running == nil, !session.isParked, !isDraining, let next = session.queue.first,
      !next.resumesAlone, !next.isEnding
    else { return }
    session.queue.removeFirst()
    session.running = next
    begin(next)
  }

  func owner(of session: SessionState) -> PartitionOwner { partitions[session.partition] }
}

extension Personality {
  /// Stands in for a pack that is gone, so that its turns can be ended in order.
  static func missing(_ id: String) -> Personality {
    Personality(
      id: id, version: "", description: "", digest: "", directory: "", planner: .direct,
      systemPrompt: "")
  }
}
