package import Base
package import Events

/// What one call of a model reports; `finished` or `failed` is the last.
package enum CallEvent {
  case delta(String)
  case finished(CallResult)
  case failed(CallFailure)
}

/// A whole answer of one call, with what the provider counted or we estimated.
package struct CallResult {
  package var text: String
  package var toolCalls: [ToolCall]
  package var finishReason: String
  /// Tokens, `estimated` and `providerTime`; cost and retries are the router's business.
  package var usage: Usage

  package init(text: String, toolCalls: [ToolCall], finishReason: String, usage: Usage) {
    self.text = text
    self.toolCalls = toolCalls
    self.finishReason = finishReason
    self.usage = usage
  }
}

/// One configured provider: makes single calls. Retries, fallback and prices are the router's.
package protocol ModelProvider: AnyObject {
  var name: String { get }
  /// The first is the default.
  var models: [String] { get }
  var profile: ModelProfile { get }

  /// Starts one call. `sink` gets its events on the loop, never before this returns and never
  /// after `cancel`, which closes the provider's connection at once.
  func call(
    _ request: GenerateRequest, model: String, sink: @escaping (CallEvent) -> Void
  ) -> any Cancellable

  /// Whether a call could be answered now, as far as is known without making one; never waits.
  func reachability() -> (reachable: Bool, detail: String)

  /// Ends what runs for this provider beyond its calls. It is not called again afterwards.
  func stop()
}

extension ModelProvider {
  package func reachability() -> (reachable: Bool, detail: String) { (true, "in this process") }
  package func stop() {}
}
