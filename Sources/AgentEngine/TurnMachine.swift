package import Base
package import Events

/// One turn as a state machine without I/O: records in, the next decision out.
///
/// The same machine runs a turn and folds it from the journal: a decision becomes a record, and
/// only `apply` changes state. So a new owner that has applied what counts decides what the old one
/// would have decided next.
package struct TurnMachine {
  package enum Phase: Sendable {
    case pending
    case running
    case finished(StepOutcome)
  }

  package struct Step: Sendable {
    package var planned: PlannedStep
    /// Starts so far.
    package var attempts = 0
    package var phase = Phase.pending

    var outcome: StepOutcome? { if case .finished(let outcome) = phase { outcome } else { nil } }
    var isRunning: Bool { if case .running = phase { true } else { false } }
    var isPending: Bool { if case .pending = phase { true } else { false } }
  }

  /// What to record next; whoever drives the machine records it and applies it.
  package enum Decision: Sendable {
    case plan(PlanRecord)
    case start(StepStarted)
    /// A step that will not run to an end of its own.
    case finish(StepFinished)
    case end(TurnEnded)
  }

  package let request: TurnRequest
  package let personality: Personality
  package private(set) var steps: [Step] = []
  package private(set) var planID: ULID?
  package private(set) var revision = 0
  /// Everything the turn's calls have cost, over all epochs.
  package private(set) var usage = Usage()
  package private(set) var ended: TurnEnded?
  /// The model's limit on prompts, set by whoever drives the machine; nil for none.
  package var promptTokensMax: Int?
  /// A crash cut an effect short: nobody knows whether it happened.
  private var unknownEffects: Set<Int> = []
  private var knowsCost = true

  package init(request: TurnRequest, personality: Personality) {
    self.request = request
    self.personality = personality
    usage.costMicros = 0
  }

  package var hasRunningStep: Bool { steps.contains { $0.isRunning } }
  package var hasFinishedStep: Bool { steps.contains { $0.outcome != nil } }

  // MARK: Folding

  package mutating func apply(_ record: JournalRecord) {
    switch record {
    case .planned(let plan):
      planID = plan.planID
      revision = plan.revision
      for step in plan.steps where step.index == steps.count { steps.append(Step(planned: step)) }
    case .started(let started):
      guard steps.indices.contains(started.step.index) else { return }
      steps[started.step.index].phase = .running
      steps[started.step.index].attempts = started.attempt
      if started.attempt > 1, started.step.type == .llm {
        // The call of a lost owner may be billed; what it cost is known to the provider alone.
        usage.retries += 1
        usage.estimated = true
      }
    case .finished(let finished):
      guard steps.indices.contains(finished.index), steps[finished.index].outcome == nil else {
        return
      }
      steps[finished.index].phase = .finished(finished.outcome)
      add(finished.outcome.usage, isCall: finished.type == .llm)
    case .ended(let end): ended = end
    case .claim, .released, .accepted, .resuming: break
    }
  }

  private mutating func add(_ more: Usage, isCall: Bool) {
    usage.tokensIn += more.tokensIn
    usage.tokensOut += more.tokensOut
    usage.tokensCached += more.tokensCached
    usage.estimated = usage.estimated || more.estimated
    usage.retries += more.retries
    usage.providerTime = usage.providerTime + more.providerTime
    guard isCall else { return }
    usage.currency = more.currency
    // One call without a price makes the whole unknown: a sum of the others would look like a cost.
    knowsCost = knowsCost && more.costMicros != nil
    usage.costMicros = knowsCost ? (usage.costMicros ?? 0) + (more.costMicros ?? 0) : nil
  }

  /// After a take-over: no step of the lost owner runs any more. What may run again is pending; an
  /// effect that may have happened is not (SEMANTICS D14).
  package mutating func interruptSteps(effect: (PlannedStep) -> ToolDefinition.Effect) {
    for index in steps.indices where steps[index].isRunning {
      steps[index].phase = .pending
      switch effect(steps[index].planned) {
      case .read, .idempotent: break
      case .effectful: unknownEffects.insert(index)
      }
    }
  }

  // MARK: Deciding

  /// The next thing to record; nil while the turn waits for a step, and once it has ended.
  package func decide(_ maker: PlanExecutor, at now: Timestamp, nodeTime: Nanoseconds)
    -> Decision?
  {
    guard ended == nil else { return nil }
    if steps.isEmpty { return .plan(maker.initialPlan(for: self)) }
    if let index = unknownEffects.sorted().first(where: { steps[$0].outcome == nil }) {
      return .finish(finish(steps[index], unknownOutcome))
    }
    if !steps.contains(where: \.isRunning), let failure = fatalFailure {
      return .end(end(.failed, failure: failure, at: now, nodeTime: nodeTime))
    }
    if fatalFailure == nil, let ready = steps.first(where: isReady) {
      return .start(maker.start(ready, of: self))
    }
    guard steps.allSatisfy({ $0.outcome != nil }) else { return nil }
    switch maker.conclusion(of: self) {
    case .revise(let plan): return .plan(plan)
    case .complete(let output):
      return .end(end(.completed, output: output, at: now, nodeTime: nodeTime))
    case .fail(let failure):
      return .end(end(.failed, failure: failure, at: now, nodeTime: nodeTime))
    }
  }

  /// What ends the turn from outside: running steps are cancelled, then the turn (SEMANTICS D23).
  package func cancellation(
    _ failure: TurnFailure, at now: Timestamp, nodeTime: Nanoseconds,
    partial: (Int) -> StepOutcome
  ) -> [JournalRecord] {
    guard ended == nil else { return [] }
    var machine = self
    var records: [JournalRecord] = []
    for step in steps where step.isRunning {
      let record = JournalRecord.finished(finish(step, partial(step.planned.index)))
      machine.apply(record)
      records.append(record)
    }
    records.append(
      .ended(machine.end(.cancelled, failure: failure, at: now, nodeTime: nodeTime)))
    return records
  }

  /// What ends the turn as failed whatever its steps do.
  package func failure(_ failure: TurnFailure, at now: Timestamp) -> JournalRecord {
    .ended(end(.failed, failure: failure, at: now, nodeTime: .zero))
  }

  package func finish(_ step: Step, _ outcome: StepOutcome) -> StepFinished {
    StepFinished(
      turnID: request.turnID, planID: planID ?? request.turnID, step: step.planned,
      outcome: outcome)
  }

  private func isReady(_ step: Step) -> Bool {
    step.isPending
      && step.planned.after.allSatisfy { steps.indices.contains($0) && steps[$0].outcome != nil }
  }

  /// A tool's failure is an answer to the model; any other step's failure ends the turn.
  private var fatalFailure: TurnFailure? {
    for step in steps {
      guard let outcome = step.outcome else { continue }
      switch outcome.status {
      case .completed: continue
      case .failed where step.planned.type == .tool: continue
      case .failed, .cancelled, .unknown:
        return outcome.failure ?? TurnFailure(.internal, "a step ended without saying why")
      }
    }
    return nil
  }

  private var unknownOutcome: StepOutcome {
    StepOutcome(
      status: .unknown, output: .none,
      failure: TurnFailure(
        .effectUnknown,
        "the node stopped while a tool with an outside effect ran; whether it took effect is "
          + "not known, so it is not run again"),
      duration: .zero)
  }

  // MARK: The end

  /// The step whose text is the answer: the last LLM step that has one, standing or partial.
  var answerStep: Step? { steps.last { $0.planned.type == .llm && $0.outcome != nil } }

  /// The passages a memory step found, best first.
  package var passages: [Passage] {
    for step in steps {
      if case .passages(let passages) = step.outcome?.output { return passages }
    }
    return []
  }

  private func end(
    _ status: TurnStatus, output: JSON? = nil, failure: TurnFailure? = nil, at now: Timestamp,
    nodeTime: Nanoseconds
  ) -> TurnEnded {
    var terminal = JSONObject()
    if let step = answerStep, case .message(let text, _, _, _) = step.outcome?.output {
      terminal["step_id"] = .string(step.planned.stepID.description)
      if status == .completed || !text.isEmpty { terminal["answer"] = .string(text) }
    }
    if let output { terminal["output"] = output }
    if status == .completed {
      let sources = ContextManager.admitted(passages, for: self)
      terminal["sources"] = .array(sources.map(\.source))
    }
    if let failure { terminal["error"] = failure.json }
    terminal["receipt"] = receipt(nodeTime: nodeTime)
    return TurnEnded(
      turnID: request.turnID, sessionID: request.sessionID,
      personalityID: personality.id, status: status, terminal: terminal,
      messages: intermediateMessages, createdAt: request.createdAt, finishedAt: now)
  }

  private func receipt(nodeTime: Nanoseconds) -> JSON {
    let tools = steps.filter { $0.planned.type == .tool }
      .reduce(Int64(0)) { $0 &+ ($1.outcome?.duration.microseconds ?? 0) }
    var object = usage.json.object ?? [:]
    object["tools_us"] = .int(tools)
    object["node_us"] = .int(max(0, nodeTime.microseconds))
    return .object(object)
  }

  /// Tool calls and their results, for the session's history; a call that was never answered gets
  /// a synthetic result, since providers refuse a history with open calls (SEMANTICS D23).
  private var intermediateMessages: [ChatMessage] {
    var messages: [ChatMessage] = []
    var open: [ToolCall] = []
    var room = EngineLimits.historyResultBytes
    for step in steps {
      switch step.outcome?.output {
      case .message(let text, let calls, _, _) where !calls.isEmpty:
        messages.append(ChatMessage(.assistant, text, toolCalls: calls))
        open = calls
      case .toolResult(let id, let content):
        let fits = content.utf8.count <= room
        if fits { room -= content.utf8.count }
        messages.append(
          ChatMessage(.tool, fits ? content : "(left out: too large)", toolCallID: id))
        open.removeAll { $0.id == id }
      default: break
      }
    }
    for call in open {
      messages.append(ChatMessage(.tool, "(not run: the turn ended)", toolCallID: call.id))
    }
    return messages
  }
}

extension Passage {
  /// How a passage is named among the sources of an answer.
  var source: JSON {
    var object: JSONObject = ["document": .string(document)]
    if let heading { object["heading"] = .string(heading) }
    object["score"] = .double((score * 10_000).rounded() / 10_000)
    object["quote"] = .string(String(text.prefix(EngineLimits.quoteCharacters)))
    return .object(object)
  }
}
