import Base
package import Events

/// What the engine asks the world for.
package struct EngineServices {
  package var personalities: any PersonalityCatalog
  package var providers: any ProviderInterface
  package var tools: any ToolRunner
  package var knowledge: any KnowledgeRetriever

  package init(
    personalities: any PersonalityCatalog, providers: any ProviderInterface,
    tools: any ToolRunner, knowledge: any KnowledgeRetriever
  ) {
    self.personalities = personalities
    self.providers = providers
    self.tools = tools
    self.knowledge = knowledge
  }
}

/// Runs single steps: LLM calls, tools, memory searches. It knows nothing of turns' order or of the
/// log; what comes of a step is handed back once.
final class StepProcessor {
  /// What a step is run with.
  struct Job {
    var execution: StepExecution
    var machine: TurnMachine
    var history: [ContextManager.Exchange]
  }

  private let services: EngineServices
  var options: EngineOptions
  private let timers: any TimerService
  private let metrics: EngineMetrics

  init(
    services: EngineServices, options: EngineOptions, timers: any TimerService,
    metrics: EngineMetrics
  ) {
    self.services = services
    self.options = options
    self.timers = timers
    self.metrics = metrics
  }

  private var context: ContextManager { ContextManager(historyTokens: options.historyTokens) }

  /// Tokens of history that a step of `personality` can use.
  func historyBudget(of personality: Personality) -> Int {
    context.historyBudget(of: personality)
  }

  /// Starts `job`. `onText` gets an LLM step's text as it comes, nil when what came so far is void;
  /// `completion` gets the outcome. Neither is called before this returns, nor after the
  /// execution was aborted.
  func run(
    _ job: Job, onText: @escaping (String?) -> Void,
    completion: @escaping (StepOutcome) -> Void
  ) {
    let execution = job.execution
    let finish: (StepOutcome) -> Void = { outcome in
      guard !execution.isOver else { return }
      execution.finish()
      completion(outcome)
    }
    execution.timeout = timers.schedule(after: options.stepTimeout) { [self] in
      execution.cancellable?.cancel()
      var outcome = failed(execution, TurnFailure(.stepTimeout, timeoutText))
      if !execution.text.isEmpty { outcome.output = Self.partial(execution.text) }
      finish(outcome)
    }
    switch execution.step.type {
    case .memory: runMemory(job, finish)
    case .tool: runTool(job, finish)
    case .llm:
      runLanguageModel(
        job, onText: { if !execution.isOver { onText($0) } }, finish)
    }
  }

  private var timeoutText: String {
    "the step took longer than \(options.stepTimeout.durationText) (engine.step_timeout)"
  }

  private func elapsed(_ execution: StepExecution) -> Nanoseconds {
    timers.clock.monotonic() - execution.startedAt
  }

  private func failed(
    _ execution: StepExecution, _ failure: TurnFailure, usage: Usage = Usage()
  ) -> StepOutcome {
    StepOutcome(
      status: .failed, output: .none, failure: failure, usage: usage,
      duration: elapsed(execution))
  }

  // MARK: Memory

  private func runMemory(_ job: Job, _ finish: @escaping (StepOutcome) -> Void) {
    let execution = job.execution
    let query = KnowledgeQuery(
      tenantID: job.machine.request.principal.tenantID,
      packDigest: job.machine.personality.digest,
      settings: job.machine.personality.knowledge ?? .init(),
      text: job.machine.request.userMessage)
    execution.cancellable = services.knowledge.retrieve(query) { [self] result in
      switch result {
      case .success(let passages):
        finish(
          StepOutcome(
            status: .completed, output: .passages(passages), duration: elapsed(execution)))
      case .failure(let failure): finish(failed(execution, failure))
      }
    }
  }

  // MARK: Tools

  private func runTool(_ job: Job, _ finish: @escaping (StepOutcome) -> Void) {
    let execution = job.execution
    guard let call = execution.step.toolCall else {
      return later { [self] in
        finish(failed(execution, TurnFailure(.planInvalid, "a tool step without a tool call")))
      }
    }
    let invocation: ToolInvocation
    do throws(TurnFailure) {
      invocation = try self.invocation(of: call, job.machine)
    } catch {
      // A wrong call is the model's to mend: it is told, and the turn goes on.
      let outcome = toolFailure(execution, call, error.message)
      return later { finish(outcome) }
    }
    execution.cancellable = services.tools.run(invocation) { [self] outcome in
      switch outcome {
      case .output(let text):
        metrics.toolRan(completed: true)
        finish(
          StepOutcome(
            status: .completed, output: .toolResult(callID: call.id, content: text),
            duration: elapsed(execution)))
      case .failed(let reason):
        metrics.toolRan(completed: false)
        finish(toolFailure(execution, call, reason))
      }
    }
  }

  private func toolFailure(_ execution: StepExecution, _ call: ToolCall, _ reason: String)
    -> StepOutcome
  {
    let content: JSON = ["error": .string(reason)]
    return StepOutcome(
      status: .failed, output: .toolResult(callID: call.id, content: content.text),
      failure: TurnFailure(.internal, reason, retryable: false), duration: elapsed(execution))
  }

  /// Authority of a tool step is what the pack's manifest names (SEMANTICS D24).
  private func invocation(of call: ToolCall, _ machine: TurnMachine) throws(TurnFailure)
    -> ToolInvocation
  {
    guard let tool = machine.personality.tools.first(where: { $0.name == call.name }) else {
      let names = machine.personality.tools.map(\.name).joined(separator: ", ")
      throw TurnFailure(.planInvalid, "there is no tool \(call.name); there are: \(names)")
    }
    let arguments: JSON
    do throws(JSONError) {
      arguments = try JSON(parsing: call.arguments.isEmpty ? "{}" : call.arguments)
    } catch {
      throw TurnFailure(.planInvalid, "the arguments are not JSON: \(error)")
    }
    guard arguments.object != nil else {
      throw TurnFailure(.planInvalid, "the arguments are not a JSON object")
    }
    if let schema = try? JSONSchema(tool.inputSchema),
      let violation = schema.violations(of: arguments, limit: 1).first
    {
      throw TurnFailure(
        .planInvalid, "the arguments do not fit the tool: \(violation.pointer) \(violation.message)"
      )
    }
    return ToolInvocation(
      tool: tool, packDirectory: machine.personality.directory, arguments: arguments.encoded,
      traceID: machine.request.traceID)
  }

  // MARK: Language models

  private func runLanguageModel(
    _ job: Job, onText: @escaping (String?) -> Void, _ finish: @escaping (StepOutcome) -> Void
  ) {
    let execution = job.execution
    guard let request = generateRequest(job) else {
      return later { [self] in
        finish(
          failed(
            execution,
            TurnFailure(.providerNotFound, "no configured provider serves the model or route")))
      }
    }
    execution.promptTokens = request.messages.reduce(0) {
      $0 + ContextManager.tokens(in: $1.text)
    }
    execution.cancellable = services.providers.generate(request) { [self] event in
      switch event {
      case .delta(let text):
        execution.text += text
        onText(text)
      case .restarted:
        execution.text = ""
        onText(nil)
      case .finished(let result):
        metrics.charge(result.usage)
        finish(
          StepOutcome(
            status: .completed,
            output: .message(
              text: result.text, toolCalls: result.toolCalls,
              finishReason: result.finishReason, model: result.model),
            usage: result.usage, duration: elapsed(execution)))
      case .failed(let failure, let usage):
        metrics.charge(usage)
        var outcome = failed(execution, failure, usage: usage)
        if !execution.text.isEmpty { outcome.output = Self.partial(execution.text) }
        finish(outcome)
      }
    }
  }

  /// What an LLM step that was cut short has said.
  static func partial(_ text: String) -> StepOutput {
    .message(text: text, toolCalls: [], finishReason: "cut", model: "")
  }

  private func generateRequest(_ job: Job) -> GenerateRequest? {
    let machine = job.machine
    let settings = machine.personality.languageModel
    guard
      let profile = services.providers.profile(
        model: machine.request.model, route: settings.route)
    else { return nil }
    let messages = context.messages(
      for: job.execution.step, of: machine, history: job.history,
      promptTokensMax: profile.promptTokensMax)
    let offersTools = machine.personality.planner == .react && profile.supportsTools
    return GenerateRequest(
      model: machine.request.model, route: settings.route, messages: messages,
      tools: offersTools ? machine.personality.tools : [], temperature: settings.temperature,
      maxOutputTokens: settings.maxOutputTokens,
      responseSchema: machine.request.responseSchema,
      passages: ContextManager.admitted(
        machine.passages, for: machine, promptTokensMax: profile.promptTokensMax),
      traceID: machine.request.traceID)
  }

  private func later(_ body: @escaping () -> Void) {
    timers.schedule(after: .zero, body)
  }
}
