package import Base
package import Events

/// One call's script.
package struct ScriptedReply: Sendable {
  package enum Step: Sendable {
    case delta(String)
    case toolCall(ToolCall)
    case wait(Nanoseconds)
    /// Ends the call.
    case fail(TurnFailure, retryAfter: Nanoseconds?)
    /// Ends the call as a connection that closes early does.
    case cut
    /// The call never ends by itself.
    case silence
  }

  package var steps: [Step]
  /// Nil estimates.
  package var tokens: TokenCounts?

  package init(_ steps: [Step], tokens: TokenCounts? = nil) {
    self.steps = steps
    self.tokens = tokens
  }
}

/// A provider without a model and without a network, the same for the same input. From code it
/// plays queued replies; with an empty queue, and from configuration (`kind = "scripted"`), it
/// repeats the last user message word by word, or does what directives in that message say:
///
/// - `[[tokens:N]]` answers with N words (at most 100,000)
/// - `[[delay:250ms]]` waits before each word
/// - `[[fail:CODE]]` fails with that error code, e.g. `provider_overloaded`
/// - `[[cut:N]]` ends after N words as a broken connection does
/// - `[[silent]]` says nothing until it is cancelled
/// - `[[tool]]` calls the first tool that is offered, once, with empty arguments
package final class ScriptedProvider: ModelProvider {
  package static let wordsMax = 100_000

  package let name: String
  package let models: [String]
  package var profile = ModelProfile()
  /// Every request, in order; the newest `requestsMax`.
  package private(set) var requests: [GenerateRequest] = []
  private static let requestsMax = 64
  private var queue: ArraySlice<ScriptedReply> = []
  private let timers: any TimerService

  package init(name: String, models: [String], timers: any TimerService) {
    self.name = name
    self.models = models.isEmpty ? ["echo"] : models
    self.timers = timers
  }

  /// Adds replies for the next calls, one each.
  package func enqueue(_ replies: [ScriptedReply]) { queue += replies }

  package func call(
    _ request: GenerateRequest, model: String, sink: @escaping (CallEvent) -> Void
  ) -> any Cancellable {
    if requests.count == Self.requestsMax { requests.removeFirst() }
    requests.append(request)
    let reply = queue.popFirst() ?? Self.directedReply(to: request)
    let play = ScriptedCall(request: request, reply: reply, clock: timers.clock, sink: sink)
    return DeltaScript(timers: timers, steps: play.steps())
  }

  static func directedReply(to request: GenerateRequest) -> ScriptedReply {
    let said = request.messages.last { $0.role == .user }?.text ?? ""
    let directives = ScriptedDirectives(in: said)
    if directives["silent"] != nil { return ScriptedReply([.silence]) }
    if let name = directives["fail"] {
      let code = ErrorCode(rawValue: name) ?? .providerUnavailable
      return ScriptedReply([.fail(TurnFailure(code, "scripted failure"), retryAfter: nil)])
    }
    if directives["tool"] != nil, let tool = request.tools.first,
      request.messages.last?.role == .user
    {
      return ScriptedReply([
        .toolCall(ToolCall(id: "call_1", name: tool.name, arguments: "{}"))
      ])
    }
    return ScriptedReply(words(of: said, directives))
  }

  private static func words(
    of said: String, _ directives: ScriptedDirectives
  ) -> [ScriptedReply.Step] {
    let words =
      directives["tokens"].flatMap { Int($0) }.map { count in
        (0..<min(max(count, 0), wordsMax)).map { "word-\($0) " }
      } ?? said.split(separator: " ").map { "\($0) " }
    let delay = directives["delay"].flatMap { Nanoseconds(duration: $0) }
    let cut = directives["cut"].flatMap { Int($0) }
    var steps: [ScriptedReply.Step] = []
    for (index, word) in words.enumerated() {
      if index == cut { return steps + [.cut] }
      if let delay { steps.append(.wait(delay)) }
      steps.append(.delta(word))
    }
    return steps
  }
}

/// The `[[name:value]]` marks of a text.
struct ScriptedDirectives {
  private var values: [String: String] = [:]

  init(in text: String) {
    var rest = text[...]
    while let open = rest.range(ofASCII: "[["),
      let close = rest[open.upperBound...].range(ofASCII: "]]")
    {
      let inside = rest[open.upperBound..<close.lowerBound]
      let parts = inside.split(separator: ":", maxSplits: 1)
      if let name = parts.first { values[String(name)] = parts.count > 1 ? String(parts[1]) : "" }
      rest = rest[close.upperBound...]
    }
  }

  subscript(name: String) -> String? { values[name] }
}

/// Turns a script into steps on the loop.
private final class ScriptedCall {
  private let request: GenerateRequest
  private let reply: ScriptedReply
  private let clock: any Clock
  private let began: Nanoseconds
  private let sink: (CallEvent) -> Void
  private var text = ""
  private var toolCalls: [ToolCall] = []

  init(
    request: GenerateRequest, reply: ScriptedReply, clock: any Clock,
    sink: @escaping (CallEvent) -> Void
  ) {
    self.request = request
    self.reply = reply
    self.clock = clock
    self.sink = sink
    began = clock.monotonic()
  }

  func steps() -> [(wait: Nanoseconds, body: () -> Void)] {
    var out: [(wait: Nanoseconds, body: () -> Void)] = []
    var wait = Nanoseconds.zero
    for step in reply.steps {
      switch step {
      case .wait(let time):
        wait = wait + time
        continue
      case .silence: return out
      case .delta(let piece): out.append((wait, { self.say(piece) }))
      case .toolCall(let call): out.append((wait, { self.toolCalls.append(call) }))
      case .fail(let failure, let retryAfter):
        return out + [(wait, { self.fail(failure, retryAfter) })]
      case .cut:
        let failure = TurnFailure(.providerStreamCut, "scripted cut")
        return out + [(wait, { self.fail(failure, nil) })]
      }
      wait = .zero
    }
    return out + [(wait, { self.finish() })]
  }

  private func say(_ piece: String) {
    text += piece
    sink(.delta(piece))
  }

  private func fail(_ failure: TurnFailure, _ retryAfter: Nanoseconds?) {
    // What was not said was not charged.
    var usage = text.isEmpty ? Usage() : self.usage
    usage.providerTime = clock.monotonic() - began
    sink(.failed(CallFailure(failure, retryAfter: retryAfter, usage: usage)))
  }

  private func finish() {
    sink(
      .finished(
        CallResult(
          text: text, toolCalls: toolCalls,
          finishReason: toolCalls.isEmpty ? "stop" : "tool_calls", usage: usage)))
  }

  private var usage: Usage {
    var usage = Usage()
    usage.tokensIn = reply.tokens?.input ?? TokenEstimator.tokens(of: request)
    usage.tokensOut = reply.tokens?.output ?? TokenEstimator.tokens(of: text)
    usage.tokensCached = reply.tokens?.cached ?? 0
    usage.estimated = reply.tokens == nil
    usage.providerTime = clock.monotonic() - began
    return usage
  }
}
