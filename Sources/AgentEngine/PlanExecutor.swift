package import Base
package import Events

/// Proposes plans and their revisions, and says what a finished plan means. Planner modes `direct`
/// (one LLM step, after a memory step where the pack has knowledge) and `react` (LLM and tools in
/// turns).
package struct PlanExecutor {
  package enum Conclusion {
    case revise(PlanRecord)
    case complete(output: JSON?)
    case fail(TurnFailure)
  }

  private let options: EngineOptions
  private let makeID: () -> ULID

  package init(options: EngineOptions, makeID: @escaping () -> ULID) {
    self.options = options
    self.makeID = makeID
  }

  package func initialPlan(for turn: TurnMachine) -> PlanRecord {
    var steps: [PlannedStep] = []
    if turn.personality.knowledge != nil {
      steps.append(
        PlannedStep(
          stepID: makeID(), index: 0, type: .memory,
          instructions: "Find passages of the pack's knowledge that answer the question."))
    }
    steps.append(
      PlannedStep(
        stepID: makeID(), index: steps.count, type: .llm,
        instructions: "Answer the user's message.", after: steps.map(\.index)))
    return plan(turn, steps)
  }

  package func start(_ step: TurnMachine.Step, of turn: TurnMachine) -> StepStarted {
    let effect = effect(of: step.planned, in: turn.personality)
    return StepStarted(
      turnID: turn.request.turnID, planID: turn.planID ?? turn.request.turnID,
      step: step.planned, attempt: step.attempts + 1, effect: effect,
      effectKey: step.planned.type == .tool ? effectKey(step.planned, turn) : nil)
  }

  /// LLM calls and memory searches may run again; a tool is what its pack says (SEMANTICS D14). A
  /// tool that is not there has no effect: its step only tells the model so.
  package func effect(of step: PlannedStep, in personality: Personality)
    -> ToolDefinition.Effect
  {
    guard step.type == .tool, let name = step.toolCall?.name else { return .read }
    return personality.tools.first { $0.name == name }?.effect ?? .read
  }

  /// What follows once every step of the plan has finished without a failure that ends the turn.
  package func conclusion(of turn: TurnMachine) -> Conclusion {
    guard let last = turn.answerStep,
      case .message(let text, let calls, let reason, _)? =
        last.outcome?.output
    else { return .fail(TurnFailure(.planInvalid, "the plan has no LLM step")) }
    if !calls.isEmpty, !turn.personality.tools.isEmpty { return toolRound(calls, of: turn) }
    if reason == "content_filter", text.isEmpty {
      return .fail(TurnFailure(.contentPolicy, "the provider withheld the answer"))
    }
    guard let schema = turn.request.responseSchema else { return .complete(output: nil) }
    switch StructuredOutput.check(text, against: schema) {
    case .fits(let value): return .complete(output: value)
    case .violates(let reason): return repair(reason, of: turn)
    }
  }

  private func toolRound(_ calls: [ToolCall], of turn: TurnMachine) -> Conclusion {
    let rounds = turn.steps.filter { step in
      if case .message(_, let calls, _, _)? = step.outcome?.output { !calls.isEmpty } else { false }
    }.count
    guard rounds <= options.toolRoundsMax else {
      return .fail(
        TurnFailure(
          .stepsExhausted,
          "the model asked for tools in more than \(options.toolRoundsMax) rounds "
            + "(engine.tool_rounds_max)"))
    }
    guard calls.count <= EngineLimits.toolCallsMax else {
      return .fail(
        TurnFailure(
          .planInvalid,
          "the model asked for \(calls.count) tool calls at once; at most "
            + "\(EngineLimits.toolCallsMax) are run"))
    }
    var steps: [PlannedStep] = []
    var index = turn.steps.count
    let last = turn.answerStep?.planned.index ?? 0
    for call in calls {
      steps.append(
        PlannedStep(
          stepID: makeID(), index: index, type: .tool,
          instructions: "Run the tool the model named.",
          parameters: ["tool_call": call.json], after: [last]))
      index += 1
    }
    steps.append(
      PlannedStep(
        stepID: makeID(), index: index, type: .llm,
        instructions: "Go on with the tools' results.", after: steps.map(\.index)))
    return validated(plan(turn, steps), of: turn)
  }

  /// One repair step with the error as a user message; a second misfit ends the turn.
  private func repair(_ reason: String, of turn: TurnMachine) -> Conclusion {
    guard !turn.steps.contains(where: { $0.planned.parameters["repair"] != nil }) else {
      return .fail(TurnFailure(.responseSchemaViolation, reason))
    }
    let step = PlannedStep(
      stepID: makeID(), index: turn.steps.count, type: .llm,
      instructions: "Repair the answer so that it fits the response schema.",
      parameters: ["repair": .string(reason)],
      after: turn.answerStep.map { [$0.planned.index] } ?? [])
    return validated(plan(turn, [step]), of: turn)
  }

  private func validated(_ plan: PlanRecord, of turn: TurnMachine) -> Conclusion {
    if let reason = PlanValidator.refusal(of: plan, after: turn.steps.count) {
      return .fail(TurnFailure(.planInvalid, reason))
    }
    return .revise(plan)
  }

  private func plan(_ turn: TurnMachine, _ steps: [PlannedStep]) -> PlanRecord {
    PlanRecord(
      turnID: turn.request.turnID, planID: turn.planID ?? makeID(), revision: turn.revision + 1,
      packDigest: turn.personality.digest, steps: steps)
  }

  /// SEMANTICS D15.
  private func effectKey(_ step: PlannedStep, _ turn: TurnMachine) -> String {
    let call = step.toolCall
    let arguments = (try? JSON(parsing: call?.arguments ?? "{}")) ?? .null
    let parts: JSON = [
      "turn_id": .string(turn.request.turnID.description), "step_index": .int(Int64(step.index)),
      "revision": .int(Int64(turn.revision)), "tool": .string(call?.name ?? ""),
      "pack_digest": .string(turn.personality.digest), "arguments": arguments,
    ]
    return SHA256Digest(of: parts.canonical).description
  }
}

/// What every revision must keep to before it is recorded (SEMANTICS D16).
enum PlanValidator {
  /// Why the plan is refused; nil when it stands. `count` steps are in the turn already.
  static func refusal(of plan: PlanRecord, after count: Int) -> String? {
    guard count + plan.steps.count <= EngineLimits.planStepsMax else {
      return "the plan has more than \(EngineLimits.planStepsMax) steps"
    }
    for (position, step) in plan.steps.enumerated() {
      guard step.index == count + position else {
        return "step \(step.index) stands where step \(count + position) should"
      }
      // A step that waits for itself or a later one would wait for ever.
      guard step.after.allSatisfy({ $0 >= 0 && $0 < step.index }) else {
        return "step \(step.index) waits for a step that does not come before it"
      }
    }
    return nil
  }
}
