import Base
import Events

/// Models, tools, knowledge and packs that do something else every time they are called, as the
/// seed has it. Calls die with the process that made them; what was called is remembered.
final class SimulationWorld: ProviderInterface, ToolRunner, KnowledgeRetriever,
  PersonalityCatalog
{
  final class Call: Cancellable {
    var onCancel: () -> Void = {}
    private(set) var isOver = false

    func cancel() { end() }

    func end() {
      guard !isOver else { return }
      isOver = true
      onCancel()
    }
  }

  /// Shares in a thousand of what may go wrong; all zero once the faults have stopped.
  struct Faults {
    var providerFails = 90
    var providerRestarts = 120
    var hangs = 25
    var toolFails = 200
    var isSlow = 60
  }

  var faults = Faults()
  var timers: ProcessTimers
  var packs: [String: Personality]
  private let random: any RandomSource
  private let model: SimulationModel
  private var calls = 0

  init(timers: ProcessTimers, random: any RandomSource, model: SimulationModel) {
    self.timers = timers
    self.random = random
    self.model = model
    let tools = [
      Self.tool("look", .read), Self.tool("put", .idempotent), Self.tool("send", .effectful),
    ]
    packs = [
      "plain": Self.pack("plain", .direct), "tooled": Self.pack("tooled", .react, tools: tools),
      "learned": Self.pack("learned", .direct, knowledge: .init()),
    ]
  }

  private static func pack(
    _ id: String, _ planner: Personality.Planner, tools: [ToolDefinition] = [],
    knowledge: Personality.KnowledgeSettings? = nil
  ) -> Personality {
    Personality(
      id: id, version: "1", description: "", digest: "\(id)-1", directory: "/pack",
      planner: planner, systemPrompt: "You are \(id).", tools: tools, knowledge: knowledge)
  }

  private static func tool(_ name: String, _ effect: ToolDefinition.Effect) -> ToolDefinition {
    ToolDefinition(
      name: name, description: "", command: [name],
      inputSchema: [
        "type": "object", "properties": ["q": ["type": "string"]], "required": ["q"],
      ], effect: effect, timeout: nil)
  }

  private func chance(_ thousandths: Int) -> Bool {
    random.next(below: 1_000) < UInt64(thousandths)
  }

  private func number(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(random.next(below: UInt64(range.count)))
  }

  private func pause() -> Nanoseconds {
    chance(faults.isSlow)
      ? .milliseconds(Int64(number(200...3_000)))
      : Nanoseconds(Int64(number(200_000...15_000_000)))
  }

  // MARK: Models

  func generate(_ request: GenerateRequest, sink: @escaping (GenerateEvent) -> Void)
    -> any Cancellable
  {
    model.modelCalled(request)
    calls += 1
    let call = Call()
    let turnID =
      request.messages.last { model.turnID(ofMessage: $0.text) != nil }
      .flatMap { model.turnID(ofMessage: $0.text) } ?? ""
    model.running[turnID, default: 0] += 1
    call.onCancel = { [model] in model.running[turnID]! -= 1 }
    var at = pause()
    func later(_ event: GenerateEvent, last: Bool = false) {
      timers.schedule(after: at) {
        guard !call.isOver else { return }
        if last { call.end() }
        sink(event)
      }
      at = at + pause()
    }
    if chance(faults.providerRestarts) {
      for index in 0..<number(0...3) { later(.delta("r\(calls).\(index) ")) }
      later(.restarted)
      model.count("call restarted")
    }
    script(request, later)
    return call
  }

  private func script(
    _ request: GenerateRequest, _ later: (GenerateEvent, Bool) -> Void
  ) {
    let answer = self.answer(request)
    let isWhole = chance(120)
    let cut = chance(faults.providerFails) ? number(0...answer.deltas.count) : nil
    if isWhole, cut == nil { model.count("answer without deltas") }
    if !isWhole || cut != nil {
      for delta in answer.deltas.prefix(cut ?? .max) { later(.delta(delta), false) }
    }
    if chance(faults.hangs) { return model.count("call hangs") }
    guard cut == nil else {
      let code: ErrorCode = chance(500) ? .providerStreamCut : .providerAuthentication
      return later(.failed(TurnFailure(code, "cut"), usage: Usage()), true)
    }
    var usage = Usage()
    usage.tokensIn = request.messages.count
    usage.tokensOut = answer.deltas.count
    usage.costMicros = chance(500) ? 3 : nil
    later(
      .finished(
        GenerateResult(
          model: "simulated/m", text: answer.deltas.joined(), toolCalls: answer.calls,
          finishReason: answer.calls.isEmpty ? "stop" : "tool_calls", usage: usage)), true)
  }

  private func answer(_ request: GenerateRequest) -> (deltas: [String], calls: [ToolCall]) {
    if request.responseSchema != nil {
      let fits = chance(600)
      return (fits ? ["{\"n\":", "\(calls)}"] : ["no JSON ", "\(calls)"], [])
    }
    let deltas = (0..<number(0...4)).map { "a\(calls).\($0) " }
    guard !request.tools.isEmpty, chance(550) else {
      return (deltas.isEmpty ? ["a\(calls) "] : deltas, [])
    }
    return (deltas, (0..<number(1...3)).map { toolCall($0) })
  }

  private func toolCall(_ index: Int) -> ToolCall {
    let name = ["look", "put", "send", "look", "put", "send", "nosuch"][number(0...6)]
    let arguments = chance(60) ? "{\"q\":" : "{\"q\":\"q\(calls).\(index)\"}"
    return ToolCall(id: "c\(calls).\(index)", name: name, arguments: arguments)
  }

  func profile(model: String?, route: String) -> ModelProfile? { ModelProfile() }
  func reachability() -> [(provider: String, reachable: Bool, detail: String)] { [] }
  func refreshReachability(_ completion: @escaping () -> Void) { completion() }

  // MARK: Tools and knowledge

  func run(_ invocation: ToolInvocation, completion: @escaping (ToolOutcome) -> Void)
    -> any Cancellable
  {
    model.toolCalled(invocation)
    calls += 1
    let outcome =
      chance(faults.toolFails) ? ToolOutcome.failed("exit 1") : .output("tool output \(calls)")
    let call = Call()
    if chance(faults.hangs) {
      model.count("tool hangs")
      return call
    }
    timers.schedule(after: pause()) {
      guard !call.isOver else { return }
      call.end()
      completion(outcome)
    }
    return call
  }

  func retrieve(
    _ query: KnowledgeQuery, completion: @escaping (Result<[Passage], TurnFailure>) -> Void
  ) -> any Cancellable {
    let call = Call()
    let fails = chance(faults.toolFails / 4)
    let passage = Passage(
      document: "d.md", heading: nil, text: "passage", score: 0.5, chunkID: "c")
    timers.schedule(after: pause()) {
      guard !call.isOver else { return }
      call.end()
      completion(fails ? .failure(TurnFailure(.internal, "no index")) : .success([passage]))
    }
    return call
  }

  // MARK: Packs

  func personality(id: String) -> Personality? { packs[id] }
  var defaultPersonality: Personality? { packs["plain"] }
  func statuses() -> [PersonalityStatus] { [] }
}
