package import Base
package import Events

/// The small model that this node runs itself (`kind = "local"`): Chat Completions on the port of
/// the supervised server.
package final class LocalProvider: ModelProvider {
  /// It reads about 124 tokens per CPU second: a longer prompt keeps a user waiting.
  package static let promptTokensMax = 700
  /// Tokens of an answer when nobody names a limit; a model this small rambles on.
  package static let outputTokensDefault = 400

  package let name: String
  package let models: [String]
  package let profile = ModelProfile(
    promptTokensMax: LocalProvider.promptTokensMax, supportsTools: false)
  private let options: ProviderOptions
  private let server: LocalModelServer
  private let dependencies: OpenAIAdapter.Dependencies
  private var adapter: (port: UInt16, adapter: OpenAIAdapter)?

  package init(
    options: ProviderOptions, server: LocalModelServer, dependencies: OpenAIAdapter.Dependencies
  ) {
    name = options.name
    models = options.models.isEmpty ? [LocalModelFiles.model] : options.models
    self.options = options
    self.server = server
    self.dependencies = dependencies
  }

  package func call(
    _ request: GenerateRequest, model: String, sink: @escaping (CallEvent) -> Void
  ) -> any Cancellable {
    var request = request
    request.maxOutputTokens = request.maxOutputTokens ?? Self.outputTokensDefault
    let pending = PendingCall()
    // The wait is no provider time: the adapter's clock starts with its request.
    pending.current = server.whenReady { [self, request] result in
      switch result {
      case .failure(let failure): sink(.failed(CallFailure(failure)))
      case .success(let port):
        pending.current = adapter(port: port).call(request, model: model, sink: sink)
      }
    }
    return pending
  }

  package func reachability() -> (reachable: Bool, detail: String) { server.reachability() }

  package func stop() { server.stop() }

  private func adapter(port: UInt16) -> OpenAIAdapter {
    if let adapter, adapter.port == port { return adapter.adapter }
    var options = options
    options.baseURL = "http://127.0.0.1:\(port)/v1"
    let made = OpenAIAdapter(
      options: options, profile: profile, dependencies: dependencies, probe: nil)
    adapter = (port, made)
    return made
  }
}

/// A call whose next part is not known yet.
private final class PendingCall: Cancellable {
  var current: (any Cancellable)?

  func cancel() {
    current?.cancel()
    current = nil
  }
}
