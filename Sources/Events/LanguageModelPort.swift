package import Base

package struct ToolCall: Sendable, Hashable {
  package var id: String
  package var name: String
  /// JSON text as the model wrote it, which may be wrong.
  package var arguments: String

  package init(id: String, name: String, arguments: String) {
    self.id = id
    self.name = name
    self.arguments = arguments
  }
}

package struct ChatMessage: Sendable, Hashable {
  package enum Role: String, Sendable { case system, user, assistant, tool }

  package var role: Role
  package var text: String
  /// Of an assistant's message.
  package var toolCalls: [ToolCall]
  /// Of a tool's message: the call it answers.
  package var toolCallID: String?

  package init(
    _ role: Role, _ text: String, toolCalls: [ToolCall] = [], toolCallID: String? = nil
  ) {
    self.role = role
    self.text = text
    self.toolCalls = toolCalls
    self.toolCallID = toolCallID
  }
}

package struct GenerateRequest: Sendable {
  /// `provider/model`, or nil for the route's choice.
  package var model: String?
  package var route: String
  package var messages: [ChatMessage]
  package var tools: [ToolDefinition]
  package var temperature: Double?
  package var maxOutputTokens: Int?
  /// JSON Schema the answer must fit; sent as the vendor's structured output where it has one.
  package var responseSchema: JSON?
  /// Passages the answer may quote: what the `extractive` provider answers from. The messages
  /// already contain them for models that read prompts.
  package var passages: [Passage]
  package var traceID: String

  package init(
    model: String?, route: String, messages: [ChatMessage], tools: [ToolDefinition],
    temperature: Double?, maxOutputTokens: Int?, responseSchema: JSON?, passages: [Passage],
    traceID: String
  ) {
    self.model = model
    self.route = route
    self.messages = messages
    self.tools = tools
    self.temperature = temperature
    self.maxOutputTokens = maxOutputTokens
    self.responseSchema = responseSchema
    self.passages = passages
    self.traceID = traceID
  }
}

/// What calls cost; adds up over the calls of a turn.
package struct Usage: Sendable, Hashable {
  package var tokensIn = 0
  package var tokensOut = 0
  package var tokensCached = 0
  /// Micro-units of `currency`; nil when a price is unknown, never zero for that.
  package var costMicros: Int?
  package var currency = "USD"
  /// Whether some count is an estimate, not the provider's own.
  package var estimated = false
  /// Time in calls, without waits between them.
  package var providerTime = Nanoseconds.zero
  /// Calls beyond a step's first.
  package var retries = 0

  package init() {}
}

package struct GenerateResult: Sendable {
  /// `provider/model` that answered.
  package var model: String
  package var text: String
  package var toolCalls: [ToolCall]
  /// `stop`, `length`, `tool_calls` or `content_filter`.
  package var finishReason: String
  package var usage: Usage

  package init(
    model: String, text: String, toolCalls: [ToolCall], finishReason: String, usage: Usage
  ) {
    self.model = model
    self.text = text
    self.toolCalls = toolCalls
    self.finishReason = finishReason
    self.usage = usage
  }
}

package enum GenerateEvent: Sendable {
  case delta(String)
  /// The deltas sent so far are void: the call was cut and runs again.
  case restarted
  /// Last event.
  case finished(GenerateResult)
  /// Last event. `usage` is what the failed calls are charged.
  case failed(TurnFailure, usage: Usage)
}

/// What a model takes, so that prompts can be made to fit.
package struct ModelProfile: Sendable, Hashable {
  /// Prompt tokens that are worth sending; nil for no limit of ours.
  package var promptTokensMax: Int?
  package var supportsTools: Bool

  package init(promptTokensMax: Int? = nil, supportsTools: Bool = true) {
    self.promptTokensMax = promptTokensMax
    self.supportsTools = supportsTools
  }
}

/// Language models behind one interface: routes, retries, prices and errors are the provider
/// layer's business (SEMANTICS D14, D19).
package protocol ProviderInterface: AnyObject {
  /// Starts a call; `sink` gets its events on the loop, the last is `finished` or `failed`, and
  /// none comes after `cancel`. Never calls `sink` before returning.
  func generate(_ request: GenerateRequest, sink: @escaping (GenerateEvent) -> Void)
    -> any Cancellable

  /// The profile of `provider/model` or, with nil, of the route's first choice; nil when there is
  /// no such model.
  func profile(model: String?, route: String) -> ModelProfile?

  /// Providers that a route can use, with whether a TCP connection to each succeeded in the last
  /// seconds; providers without a network are always reachable.
  func reachability() -> [(provider: String, reachable: Bool, detail: String)]

  /// Calls `completion`, later and within some seconds, once what `reachability` tells is at most
  /// two seconds old.
  func refreshReachability(_ completion: @escaping () -> Void)
}
