package import Base
package import Events

package enum StepType: String, Sendable { case llm, tool, memory }

/// A step as a plan names it. Its index and id are never used again in the turn (SEMANTICS D16).
package struct PlannedStep: Sendable, Hashable {
  package var stepID: ULID
  package var index: Int
  package var type: StepType
  /// In words, for whoever reads the log.
  package var instructions: String
  /// What the step needs beside the turn: a tool call, a repair's reason.
  package var parameters: JSON
  /// Steps that must have finished before this one begins.
  package var after: [Int]

  var json: JSON {
    [
      "step_id": .string(stepID.description), "step_index": .int(Int64(index)),
      "step_type": .string(type.rawValue), "instructions": .string(instructions),
      "parameters": parameters, "after": .array(after.map { .int(Int64($0)) }),
    ]
  }

  init(
    stepID: ULID, index: Int, type: StepType, instructions: String, parameters: JSON = [:],
    after: [Int] = []
  ) {
    self.stepID = stepID
    self.index = index
    self.type = type
    self.instructions = instructions
    self.parameters = parameters
    self.after = after
  }

  init?(json: JSON) {
    guard let step = json["step_id"]?.string.flatMap({ ULID($0) }),
      let index = json["step_index"]?.int, index >= 0,
      let type = json["step_type"]?.string.flatMap({ StepType(rawValue: $0) }),
      let instructions = json["instructions"]?.string, let parameters = json["parameters"]
    else { return nil }
    self.init(
      stepID: step, index: Int(index), type: type, instructions: instructions,
      parameters: parameters,
      after: json["after"]?.array?.compactMap { $0.int.map { Int($0) } } ?? [])
  }

  /// Of a tool step.
  var toolCall: ToolCall? { parameters["tool_call"].flatMap { ToolCall(json: $0) } }
}

/// A revision of a turn's plan: the steps it adds.
package struct PlanRecord: Sendable {
  package var turnID: ULID
  package var planID: ULID
  /// From 1.
  package var revision: Int
  package var packDigest: String
  package var steps: [PlannedStep]
  package var position = StreamPosition(attempt: 0, sequence: 0)

  var json: JSON {
    [
      "turn_id": .string(turnID.description), "plan_id": .string(planID.description),
      "revision": .int(Int64(revision)), "pack_digest": .string(packDigest),
      "steps": .array(steps.map(\.json)), "position": .string(position.description),
    ]
  }

  init(turnID: ULID, planID: ULID, revision: Int, packDigest: String, steps: [PlannedStep]) {
    self.turnID = turnID
    self.planID = planID
    self.revision = revision
    self.packDigest = packDigest
    self.steps = steps
  }

  init?(json: JSON) {
    guard let turn = json["turn_id"]?.string.flatMap({ ULID($0) }),
      let plan = json["plan_id"]?.string.flatMap({ ULID($0) }),
      let revision = json["revision"]?.int, let digest = json["pack_digest"]?.string,
      let steps = json["steps"]?.array,
      let position = json["position"]?.string.flatMap({ StreamPosition($0) })
    else { return nil }
    let planned = steps.compactMap { PlannedStep(json: $0) }
    guard planned.count == steps.count else { return nil }
    self.init(
      turnID: turn, planID: plan, revision: Int(revision), packDigest: digest, steps: planned)
    self.position = position
  }
}

/// A step begins, or begins again after its owner was lost (`attempt` > 1).
package struct StepStarted: Sendable {
  package var turnID: ULID
  package var planID: ULID
  package var step: PlannedStep
  package var attempt: Int
  package var effect: ToolDefinition.Effect
  /// What the other side may recognise a repeat by (SEMANTICS D15); for tools only.
  package var effectKey: String?
  /// Nil for a repeat: the stream has shown the step's start already.
  package var position: StreamPosition?

  var json: JSON {
    var object = step.json.object ?? [:]
    object["turn_id"] = .string(turnID.description)
    object["plan_id"] = .string(planID.description)
    object["attempt"] = .int(Int64(attempt))
    object["effect"] = .string(effect.rawValue)
    if let effectKey { object["effect_key"] = .string(effectKey) }
    if let position { object["position"] = .string(position.description) }
    return .object(object)
  }

  init(
    turnID: ULID, planID: ULID, step: PlannedStep, attempt: Int, effect: ToolDefinition.Effect,
    effectKey: String?
  ) {
    self.turnID = turnID
    self.planID = planID
    self.step = step
    self.attempt = attempt
    self.effect = effect
    self.effectKey = effectKey
  }

  init?(json: JSON) {
    guard let turn = json["turn_id"]?.string.flatMap({ ULID($0) }),
      let plan = json["plan_id"]?.string.flatMap({ ULID($0) }), let step = PlannedStep(json: json),
      let attempt = json["attempt"]?.int,
      let effect = json["effect"]?.string.flatMap({ ToolDefinition.Effect(rawValue: $0) })
    else { return nil }
    self.init(
      turnID: turn, planID: plan, step: step, attempt: Int(attempt), effect: effect,
      effectKey: json["effect_key"]?.string)
    position = json["position"]?.string.flatMap { StreamPosition($0) }
  }
}

package enum StepStatus: String, Sendable { case completed, failed, cancelled, unknown }

/// What a step came to.
package struct StepOutcome: Sendable {
  package var status: StepStatus
  package var output: StepOutput
  package var failure: TurnFailure?
  package var usage: Usage
  /// From the step's start to its end.
  package var duration: Nanoseconds

  init(
    status: StepStatus, output: StepOutput, failure: TurnFailure? = nil, usage: Usage = Usage(),
    duration: Nanoseconds
  ) {
    self.status = status
    self.output = output
    self.failure = failure
    self.usage = usage
    self.duration = duration
  }
}

package enum StepOutput: Sendable {
  case none
  case passages([Passage])
  case message(text: String, toolCalls: [ToolCall], finishReason: String, model: String)
  /// What the model is told, whether the tool succeeded or not.
  case toolResult(callID: String, content: String)

  var json: JSON {
    switch self {
    case .none: .null
    case .passages(let passages): ["passages": .array(passages.map(\.json))]
    case .message(let text, let calls, let reason, let model):
      [
        "text": .string(text), "tool_calls": .array(calls.map(\.json)),
        "finish_reason": .string(reason), "model": .string(model),
      ]
    case .toolResult(let id, let content):
      ["tool_call_id": .string(id), "content": .string(content)]
    }
  }

  init(json: JSON) {
    if let passages = json["passages"]?.array {
      self = .passages(passages.compactMap { Passage(json: $0) })
    } else if let text = json["text"]?.string {
      self = .message(
        text: text,
        toolCalls: json["tool_calls"]?.array?.compactMap { ToolCall(json: $0) } ?? [],
        finishReason: json["finish_reason"]?.string ?? "stop",
        model: json["model"]?.string ?? "")
    } else if let id = json["tool_call_id"]?.string, let content = json["content"]?.string {
      self = .toolResult(callID: id, content: content)
    } else {
      self = .none
    }
  }
}

package struct StepFinished: Sendable {
  package var turnID: ULID
  package var planID: ULID
  package var stepID: ULID
  package var index: Int
  package var type: StepType
  package var outcome: StepOutcome
  package var position = StreamPosition(attempt: 0, sequence: 0)

  var metrics: JSON {
    var object = outcome.usage.json.object ?? [:]
    object["duration_us"] = .int(outcome.duration.microseconds)
    return .object(object)
  }

  var json: JSON {
    var object: JSONObject = [
      "turn_id": .string(turnID.description), "plan_id": .string(planID.description),
      "step_id": .string(stepID.description), "step_index": .int(Int64(index)),
      "step_type": .string(type.rawValue), "status": .string(outcome.status.rawValue),
      "output": outcome.output.json, "error": outcome.failure?.json ?? .null,
      "metrics": metrics, "position": .string(position.description),
    ]
    if outcome.failure == nil { object["error"] = .null }
    return .object(object)
  }

  init(turnID: ULID, planID: ULID, step: PlannedStep, outcome: StepOutcome) {
    self.turnID = turnID
    self.planID = planID
    stepID = step.stepID
    index = step.index
    type = step.type
    self.outcome = outcome
  }

  init?(json: JSON) {
    guard let turn = json["turn_id"]?.string.flatMap({ ULID($0) }),
      let plan = json["plan_id"]?.string.flatMap({ ULID($0) }),
      let step = json["step_id"]?.string.flatMap({ ULID($0) }),
      let index = json["step_index"]?.int,
      let type = json["step_type"]?.string.flatMap({ StepType(rawValue: $0) }),
      let status = json["status"]?.string.flatMap({ StepStatus(rawValue: $0) }),
      let output = json["output"], let metrics = json["metrics"],
      let position = json["position"]?.string.flatMap({ StreamPosition($0) })
    else { return nil }
    turnID = turn
    planID = plan
    stepID = step
    self.index = Int(index)
    self.type = type
    outcome = StepOutcome(
      status: status, output: StepOutput(json: output),
      failure: json["error"].flatMap { TurnFailure(json: $0) }, usage: Usage(json: metrics),
      duration: Nanoseconds((metrics["duration_us"]?.int ?? 0) &* 1_000))
    self.position = position
  }
}

extension TurnFailure {
  init?(json: JSON) {
    guard let code = json["code"]?.string.flatMap({ ErrorCode(rawValue: $0) }),
      let message = json["message"]?.string
    else { return nil }
    self.init(code, message, retryable: json["retryable"]?.bool)
  }
}

extension Usage {
  var json: JSON {
    [
      "tokens_in": .int(Int64(tokensIn)), "tokens_out": .int(Int64(tokensOut)),
      "tokens_cached": .int(Int64(tokensCached)),
      "cost_micros": costMicros.map { .int(Int64($0)) } ?? .null, "currency": .string(currency),
      "estimated": .bool(estimated), "provider_us": .int(providerTime.microseconds),
      "retries": .int(Int64(retries)),
    ]
  }

  init(json: JSON) {
    self.init()
    func count(_ name: String) -> Int { Int(json[name]?.int ?? 0) }
    tokensIn = count("tokens_in")
    tokensOut = count("tokens_out")
    tokensCached = count("tokens_cached")
    costMicros = json["cost_micros"]?.int.map { Int($0) }
    currency = json["currency"]?.string ?? "USD"
    estimated = json["estimated"]?.bool ?? false
    providerTime = Nanoseconds(Int64(count("provider_us")) &* 1_000)
    retries = count("retries")
  }
}

extension Passage {
  var json: JSON {
    var object: JSONObject = [
      "document": .string(document), "text": .string(text), "score": .double(score),
      "chunk_id": .string(chunkID),
    ]
    if let heading { object["heading"] = .string(heading) }
    return .object(object)
  }

  init?(json: JSON) {
    guard let document = json["document"]?.string, let text = json["text"]?.string,
      let score = json["score"]?.number, let chunk = json["chunk_id"]?.string
    else { return nil }
    self.init(
      document: document, heading: json["heading"]?.string, text: text, score: score,
      chunkID: chunk)
  }
}
