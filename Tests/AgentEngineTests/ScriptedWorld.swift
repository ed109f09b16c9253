import Base
import Events

/// What a scripted model does when it is called.
struct ScriptedReply {
  var deltas: [String] = ["Hello", " world"]
  var toolCalls: [ToolCall] = []
  var failure: TurnFailure?
  /// Deltas after which the call is cut once and begins again.
  var restartAfter: Int?
  var delay = Nanoseconds.milliseconds(10)

  var text: String { deltas.joined() }
}

/// Models, tools, knowledge and packs that do what the test wrote down, on virtual time.
final class ScriptedWorld: ProviderInterface, ToolRunner, KnowledgeRetriever, PersonalityCatalog {
  final class Call: Cancellable {
    private(set) var isCancelled = false
    func cancel() { isCancelled = true }
  }

  private let time: VirtualTime
  var replies: [ScriptedReply] = []
  var requests: [GenerateRequest] = []
  var calls: [Call] = []
  var toolRuns: [ToolInvocation] = []
  var toolDelay = Nanoseconds.milliseconds(5)
  var passages: [Passage] = []
  var packs: [String: Personality]

  init(time: VirtualTime) {
    self.time = time
    packs = [
      "plain": Personality(
        id: "plain", version: "1", description: "", digest: "d1", directory: "/pack",
        planner: .direct, systemPrompt: "Be brief."),
      "tooled": Personality(
        id: "tooled", version: "1", description: "", digest: "d2", directory: "/pack",
        planner: .react, systemPrompt: "Use tools.",
        tools: [Self.tool("look", .read), Self.tool("send", .effectful)]),
      "learned": Personality(
        id: "learned", version: "1", description: "", digest: "d3", directory: "/pack",
        planner: .direct, systemPrompt: "Know.", knowledge: .init()),
    ]
  }

  static func tool(_ name: String, _ effect: ToolDefinition.Effect) -> ToolDefinition {
    ToolDefinition(
      name: name, description: "", command: ["tools/\(name)"],
      inputSchema: ["type": "object", "additionalProperties": false, "properties": ["q": [:]]],
      effect: effect, timeout: nil)
  }

  func generate(_ request: GenerateRequest, sink: @escaping (GenerateEvent) -> Void)
    -> any Cancellable
  {
    requests.append(request)
    let reply = replies.isEmpty ? ScriptedReply() : replies.removeFirst()
    let call = Call()
    calls.append(call)
    var at = reply.delay
    func later(_ event: GenerateEvent) {
      time.schedule(after: at) { if !call.isCancelled { sink(event) } }
      at = at + reply.delay
    }
    if let cut = reply.restartAfter {
      for delta in reply.deltas.prefix(cut) { later(.delta(delta)) }
      later(.restarted)
    }
    if let failure = reply.failure {
      later(.failed(failure, usage: Usage()))
      return call
    }
    for delta in reply.deltas { later(.delta(delta)) }
    var usage = Usage()
    usage.tokensIn = 11
    usage.tokensOut = reply.deltas.count
    later(
      .finished(
        GenerateResult(
          model: "scripted/m", text: reply.text, toolCalls: reply.toolCalls,
          finishReason: reply.toolCalls.isEmpty ? "stop" : "tool_calls", usage: usage)))
    return call
  }

  func profile(model: String?, route: String) -> ModelProfile? { ModelProfile() }
  func reachability() -> [(provider: String, reachable: Bool, detail: String)] { [] }
  func refreshReachability(_ completion: @escaping () -> Void) { completion() }

  func run(_ invocation: ToolInvocation, completion: @escaping (ToolOutcome) -> Void)
    -> any Cancellable
  {
    toolRuns.append(invocation)
    let call = Call()
    calls.append(call)
    time.schedule(after: toolDelay) {
      if !call.isCancelled { completion(.output("tool says \(invocation.tool.name)")) }
    }
    return call
  }

  func retrieve(
    _ query: KnowledgeQuery, completion: @escaping (Result<[Passage], TurnFailure>) -> Void
  ) -> any Cancellable {
    let call = Call()
    time.schedule(after: .milliseconds(1)) { [self] in
      if !call.isCancelled { completion(.success(passages)) }
    }
    return call
  }

  func personality(id: String) -> Personality? { packs[id] }
  var defaultPersonality: Personality? { packs["plain"] }
  func statuses() -> [PersonalityStatus] { [] }
}
