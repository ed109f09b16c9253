package import Base
import Events

// How turns end: exactly one terminal, settled before anybody is shown it (SEMANTICS D11, D21).

extension TurnManager {
  func armDeadline(_ live: LiveTurn) {
    let left = max(.zero, live.request.deadline.since(now))
    let delay = min(left, EngineLimits.timerMax)
    live.deadlineTimer = timers.schedule(after: delay) { [self, weak live] in
      guard let live else { return }
      guard left <= delay else { return armDeadline(live) }
      cancel(live, deadlineFailure(live.session))
    }
  }

  private func deadlineFailure(_ session: SessionState) -> TurnFailure {
    guard session.isParked else {
      return TurnFailure(.deadlineExceeded, "the turn's deadline has passed", retryable: false)
    }
    let text = "its session has records of a newer release, which alone can go on with them"
    return TurnFailure(.sessionParked, text, retryable: false)
  }

  /// Ends a turn from outside: calls are aborted now, the records follow.
  func cancel(_ live: LiveTurn, _ failure: TurnFailure) {
    guard !live.isEnding else { return }
    flushText(live)
    let cut = live.executions
    for execution in cut.values { execution.abort() }
    live.executions = [:]
    let clock = timers.clock.monotonic()
    let records = live.machine.cancellation(failure, at: now, nodeTime: nodeTime(live)) { index in
      let text = cut[index]?.text ?? ""
      return StepOutcome(
        status: .cancelled, output: text.isEmpty ? .none : StepProcessor.partial(text),
        failure: failure, usage: Self.estimate(cut[index]),
        duration: cut[index].map { clock - $0.startedAt } ?? .zero)
    }
    for record in records {
      if case .ended(let end) = record {
        finish(live, end)
      } else {
        self.record(record, live)
      }
    }
  }

  /// A call that was aborted tells no usage: it is estimated from its prompt and what it said.
  private static func estimate(_ execution: StepExecution?) -> Usage {
    var usage = Usage()
    guard let execution, execution.promptTokens > 0 else { return usage }
    usage.tokensIn = execution.promptTokens
    usage.tokensOut = execution.text.isEmpty ? 0 : ContextManager.tokens(in: execution.text)
    usage.estimated = true
    return usage
  }

  /// Ends a turn as failed, whatever its steps were doing.
  func end(_ live: LiveTurn, _ failure: TurnFailure) {
    guard case .ended(let end) = live.machine.failure(failure, at: now) else { return }
    finish(live, end)
  }

  /// Records the end; it is shown once it is settled.
  func finish(_ live: LiveTurn, _ end: TurnEnded) {
    guard !live.isEnding, let journal = owner(of: live.session).journal else { return }
    live.isEnding = true
    live.deadlineTimer?.cancel()
    var end = end
    end.published = journal.publishedMark
    end.position = live.stream.positionNext
    let record = JournalRecord.ended(end)
    var eventID = ULID(value: 0)
    eventID = journal.record(record, live.labels) { [self] offset in
      settled(live, end, publishedEventID(eventID, .turnsResponses), offset)
    }
    live.machine.apply(record)
  }

  private func settled(_ live: LiveTurn, _ end: TurnEnded, _ eventID: ULID, _ offset: UInt64) {
    let record = live.stream.append(
      name: "turn.\(end.status.rawValue)", data: end.streamData, eventID: eventID)
    live.unshown.append(record.event)
    showNow(live)
    live.subscribers = []
    remember(live, end, offset)
    count(live, end)
    let waiters = live.endWaiters
    live.endWaiters = []
    leave(live)
    for waiter in waiters { waiter() }
  }

  private func remember(_ live: LiveTurn, _ end: TurnEnded, _ offset: UInt64) {
    let session = live.session
    self.live[live.turnID] = nil
    endedStreams.insert(live.stream, for: live.turnID)
    guard let index = session.index(of: live.turnID) else { return }
    session.turns[index].status = end.status
    session.turns[index].endedOffset = offset
    let exchange = HistoryStore.exchange(userMessage: live.request.userMessage, end)
    history.keep(exchange, at: index, in: session) { Array(self.sessions.values) }
  }

  private func count(_ live: LiveTurn, _ end: TurnEnded) {
    let duration = end.finishedAt.since(end.createdAt)
    let hasRun = live.startedAt != nil
    metrics.turnEnded(
      end.status, duration: duration, overhead: hasRun ? nodeTime(live) : nil)
    if hasRun { metrics.turnsRunning.add(-1) }
    logger.info(
      "turn ended", trace: live.request.traceID,
      [
        "turn_id": .string(live.turnID.description), "session_id": .string(live.session.id),
        "status": .string(end.status.rawValue), "duration_ms": .int(duration.milliseconds),
        "code": end.terminal["error"]?["code"] ?? .null,
      ])
  }

  /// Lets the session's next turn through, and whoever waits for the engine to come to rest.
  private func leave(_ live: LiveTurn) {
    let session = live.session
    if session.running === live {
      session.running = nil
    } else {
      session.queue.removeAll { $0 === live }
    }
    let owner = owner(of: session)
    owner.aloneQueue.removeAll { $0 === live }
    if owner.alone === live {
      owner.alone = nil
      resumeNextAlone(owner)
    }
    runNext(in: session)
    checkDrained()
  }

  // MARK: Drain

  /// Stops taking turns; running ones may finish within `timeout`, the rest is left for the next
  /// start. `completion` is called when the last record is on the log.
  package func drain(timeout: Nanoseconds, completion: @escaping () -> Void) {
    guard !isDraining else { return }
    isDraining = true
    let deadline = timers.schedule(after: timeout) { [self] in abandonRunning() }
    drainWaiter = { [self] in
      deadline.cancel()
      release(completion)
    }
    timers.schedule(after: .zero) { [self] in checkDrained() }
  }

  func checkDrained() {
    guard isDraining, let waiter = drainWaiter else { return }
    guard !sessions.values.contains(where: { $0.running != nil }) else { return }
    drainWaiter = nil
    waiter()
  }

  /// Time is up: calls are aborted, and nothing is recorded about them, so that the next owner
  /// runs them again.
  private func abandonRunning() {
    for session in sessions.values {
      // An end that is on its way will be settled before the partition is released.
      guard let live = session.running, !live.isEnding else { continue }
      live.abandon()
      session.running = nil
    }
    checkDrained()
  }

  /// The partition is somebody else's, or its log failed: whatever its turns do now cannot be
  /// recorded. Their clients are sent away; the turns go on where the partition is taken next.
  func abandonTurns(of owner: PartitionOwner) {
    for session in sessions.values where session.partition == owner.partition {
      for live in session.queue + [session.running].compactMap({ $0 }) {
        live.abandon()
        for subscription in live.takeSubscribers() { subscription.subscriber?.lost() }
        let waiters = live.endWaiters
        live.endWaiters = []
        for waiter in waiters { waiter() }
      }
      session.queue = []
      session.running = nil
    }
    checkDrained()
  }

  private func release(_ completion: @escaping () -> Void) {
    var left = partitions.count
    guard left > 0 else { return completion() }
    let giveUp = timers.schedule(after: EngineLimits.releaseTimeout) { [self] in
      guard left > 0 else { return }
      left = 0
      for owner in partitions { owner.journal?.close() }
      logger.warning("stopped with records that are not on the log; the next start goes on")
      completion()
    }
    func done() {
      guard left > 0 else { return }
      left -= 1
      guard left == 0 else { return }
      giveUp.cancel()
      completion()
    }
    for owner in partitions {
      guard let journal = owner.journal, owner.fault == nil else {
        timers.schedule(after: .zero, done)
        continue
      }
      journal.whenIdle { [self] in
        let labels = PartitionJournal.Labels(
          traceID: events.makeTraceID(), tenantID: nil, sessionID: nil)
        journal.record(.released(OwnerReleased(published: journal.publishedMark)), labels) { _ in
          journal.close()
          done()
        }
      }
    }
  }
}
