import Base
import Events

// Running turns: the machine decides, the decision is recorded, its effect begins.

extension TurnManager {
  /// Begins, or goes on with, a turn that its session has let through.
  func begin(_ live: LiveTurn) {
    live.startedAt = timers.clock.monotonic()
    metrics.turnsRunning.add(1)
    live.machine.promptTokensMax =
      services.providers.profile(
        model: live.request.model, route: live.machine.personality.languageModel.route)?
      .promptTokensMax
    advance(live)
  }

  /// Records decisions until the turn waits for a step or has ended.
  func advance(_ live: LiveTurn) {
    while !live.isEnding, live.startedAt != nil,
      let decision = live.machine.decide(planner, at: now, nodeTime: nodeTime(live))
    {
      switch decision {
      case .plan(let plan): record(.planned(plan), live)
      case .start(let step): start(step, live)
      case .finish(let step): record(.finished(step), live)
      case .end(let end): finish(live, end)
      }
    }
  }

  /// Records a decision, applies it, and shows it where the stream shows it.
  func record(
    _ record: JournalRecord, _ live: LiveTurn, onSettled: ((UInt64) -> Void)? = nil
  ) {
    guard let journal = owner(of: live.session).journal else { return }
    flushText(live)
    var record = record
    let event = record.streamEvent
    if event != nil { record.position = live.stream.positionNext }
    let id = journal.record(record, live.labels, onSettled: onSettled)
    live.machine.apply(record)
    guard let event else { return }
    let shown = live.stream.append(
      name: event.name, data: event.data, eventID: publishedEventID(id, .turnsResponses))
    show(shown, live)
  }

  // MARK: Steps

  private func start(_ step: StepStarted, _ live: LiveTurn) {
    let execution = StepExecution(step: step.step, startedAt: timers.clock.monotonic())
    live.executions[step.step.index] = execution
    guard step.effect != .read else {
      record(.started(step), live)
      return loadHistory(live, execution)
    }
    // B2: nothing outside begins before its `started` is settled, nor long after it was sent.
    let sentAt = timers.clock.monotonic()
    record(.started(step), live) { [self, weak live] _ in
      guard let live, !execution.isOver else { return }
      guard timers.clock.monotonic() - sentAt <= options.lease else {
        return startAgain(step, live)
      }
      loadHistory(live, execution)
    }
  }

  /// The lease ran out before the log answered: the effect has not begun, so it may be started
  /// once more (SEMANTICS D15).
  private func startAgain(_ step: StepStarted, _ live: LiveTurn) {
    var again = step
    again.attempt += 1
    again.position = nil
    start(again, live)
  }

  private func loadHistory(_ live: LiveTurn, _ execution: StepExecution) {
    guard execution.step.type == .llm else { return run(live, execution, []) }
    history.recent(
      before: live.turnID, of: live.session,
      tokens: processor.historyBudget(of: live.machine.personality)
    ) { [self, weak live] result in
      guard let live, !execution.isOver else { return }
      switch result {
      case .success(let exchanges): run(live, execution, exchanges)
      case .failure(let error):
        stepEnded(
          live, execution,
          StepOutcome(
            status: .failed, output: .none,
            failure: TurnFailure(.internal, "the session's history cannot be read: \(error)"),
            duration: .zero))
      }
    }
  }

  private func run(
    _ live: LiveTurn, _ execution: StepExecution, _ history: [ContextManager.Exchange]
  ) {
    let job = StepProcessor.Job(
      execution: execution, machine: live.machine, history: history)
    processor.run(
      job,
      onText: { [self, weak live] text in
        guard let live else { return }
        if let text { add(text, to: live) } else { restartText(live) }
      },
      completion: { [self, weak live] outcome in
        guard let live else { return }
        stepEnded(live, execution, outcome)
      })
  }

  private func stepEnded(_ live: LiveTurn, _ execution: StepExecution, _ outcome: StepOutcome) {
    guard !live.isEnding else { return }
    live.executions[execution.step.index] = nil
    if execution.step.type != .memory { live.stepTime = live.stepTime + outcome.duration }
    // What the provider gave as a whole and never as a delta is shown as one.
    if case .message(let text, _, _, _) = outcome.output, execution.text.isEmpty, !text.isEmpty {
      live.unsentText = text
    }
    guard let step = live.machine.steps.first(where: { $0.planned.index == execution.step.index })
    else { return }
    record(.finished(live.machine.finish(step, outcome)), live)
    releaseAlone(live)
    advance(live)
  }

  /// A step of the turn that was resumed alone has finished: the next may be.
  private func releaseAlone(_ live: LiveTurn) {
    let owner = owner(of: live.session)
    guard owner.alone === live else { return }
    owner.alone = nil
    resumeNextAlone(owner)
  }

  // MARK: Text

  private func add(_ text: String, to live: LiveTurn) {
    live.unsentText += text
    scheduleFlush(live)
  }

  /// What came since the last delta becomes one: however many tokens a read brought.
  func flushText(_ live: LiveTurn) {
    guard !live.unsentText.isEmpty,
      let step = live.machine.steps.first(where: { $0.isRunning && $0.planned.type == .llm }),
      let journal = owner(of: live.session).journal
    else { return }
    let data = deltaData(
      turnID: live.turnID, stepID: step.planned.stepID, text: live.unsentText)
    live.unsentText = ""
    let record = live.stream.append(name: "delta", data: data, eventID: events.makeID())
    journal.publish(
      record.name, record.position, record.data, eventID: record.eventID, live.labels)
    show(record, live)
  }

  /// The step's call runs again: what it has shown is void. A retry that has shown nothing needs
  /// no reset (SEMANTICS D20).
  private func restartText(_ live: LiveTurn) {
    live.unsentText = ""
    guard let journal = owner(of: live.session).journal,
      live.stream.sequenceAfterText < live.stream.sequenceNext
    else { return }
    let record = live.stream.reset(
      turnID: live.turnID, discardFrom: live.stream.sequenceAfterText,
      attempt: live.stream.attempt + 1, eventID: events.makeID())
    journal.publish(
      record.name, record.position, record.data, eventID: record.eventID, live.labels)
    show(record, live)
  }

  // MARK: Showing

  func show(_ record: TurnStream.Record, _ live: LiveTurn) {
    live.unshown.append(record.event)
    scheduleFlush(live)
  }

  /// Events of one turn of the loop go to subscribers together.
  private func scheduleFlush(_ live: LiveTurn) {
    guard !live.isFlushScheduled else { return }
    live.isFlushScheduled = true
    timers.schedule(after: .zero) { [self] in
      live.isFlushScheduled = false
      flushText(live)
      showNow(live)
    }
  }

  func showNow(_ live: LiveTurn) {
    guard !live.unshown.isEmpty else { return }
    let batch = live.unshown
    live.unshown = []
    for subscription in live.subscribers { subscription.subscriber?.receive(batch) }
    live.subscribers.removeAll { $0.isCancelled }
  }

  func nodeTime(_ live: LiveTurn) -> Nanoseconds {
    guard let startedAt = live.startedAt else { return .zero }
    return timers.clock.monotonic() - startedAt - live.stepTime
  }
}
