package import Base
package import Events
package import HTTP

/// Chat Completions over HTTP: OpenAI, and everything that speaks its dialect (Ollama, vLLM,
/// llama.cpp, LM Studio, OpenRouter …). One instance is one `[[providers]]` table.
package final class OpenAIAdapter: ModelProvider {
  package struct Dependencies {
    package var transport: any HTTPTransport
    package var clock: any Clock
    package var random: any RandomSource

    package init(
      transport: any HTTPTransport, clock: any Clock, random: any RandomSource
    ) {
      self.transport = transport
      self.clock = clock
      self.random = random
    }
  }

  package let name: String
  package let models: [String]
  package let profile: ModelProfile
  private let endpoint: String
  private let fields: [HTTPField]
  private let timeouts: HTTPTimeouts
  private let dialect: ChatRequestBody.Dialect
  private let normalizer: ErrorNormalizer
  private let dependencies: Dependencies
  private let probe: ReachabilityProbe?

  /// Without a probe the provider always counts as reachable.
  package init(
    options: ProviderOptions, profile: ModelProfile = ModelProfile(),
    dependencies: Dependencies, probe: ReachabilityProbe?
  ) {
    name = options.name
    models = options.models
    self.profile = profile
    var base = options.baseURL[...]
    while base.last == "/" { base.removeLast() }
    endpoint = "\(base)/chat/completions"
    fields = Self.fields(options)
    timeouts = options.timeouts.http
    dialect = ChatRequestBody.Dialect(
      isOpenAI: HTTPURL(options.baseURL)?.host.lowercased() == "api.openai.com",
      supportsTools: profile.supportsTools)
    normalizer = ErrorNormalizer(
      provider: options.name,
      secrets: [options.apiKey].compactMap(\.self)
        + options.headers.values)
    self.dependencies = dependencies
    self.probe = probe
  }

  package func call(
    _ request: GenerateRequest, model: String, sink: @escaping (CallEvent) -> Void
  ) -> any Cancellable {
    var http = HTTPClientRequest(method: .post, url: endpoint, fields: fields)
    http.fields.append(HTTPField("x-client-request-id", request.traceID))
    http.body = ChatRequestBody.encode(request, model: model, dialect: dialect)
    http.timeouts = timeouts
    let stream = ChatCompletionStream(
      normalizer: normalizer, callIDPrefix: "call_\(dependencies.random.next())_")
    let call = OpenAICall(
      request: request, normalizer: normalizer, stream: stream, clock: dependencies.clock,
      sink: sink)
    call.start(http, on: dependencies.transport)
    return call
  }

  package func reachability() -> (reachable: Bool, detail: String) {
    probe?.current() ?? (true, "not probed")
  }

  /// Calls `completion` when `reachability()` is fresh.
  package func refreshReachability(_ completion: @escaping () -> Void) {
    if let probe { probe.refresh(completion) } else { completion() }
  }

  private static func fields(_ options: ProviderOptions) -> [HTTPField] {
    var fields = [
      HTTPField("content-type", "application/json"),
      HTTPField("accept", "text/event-stream"),
    ]
    if let key = options.apiKey, !key.isEmpty {
      fields.append(HTTPField("authorization", "Bearer \(key)"))
    }
    for (name, value) in options.headers.sorted(by: { $0.key < $1.key }) {
      // A configured header replaces ours of the same name.
      fields.removeAll { $0.name == name.lowercased() }
      fields.append(HTTPField(name, value))
    }
    return fields
  }
}

extension ProviderTimeouts {
  var http: HTTPTimeouts {
    var timeouts = HTTPTimeouts()
    timeouts.connect = connect
    timeouts.firstByte = firstByte
    timeouts.idle = idle
    timeouts.total = total
    return timeouts
  }
}
