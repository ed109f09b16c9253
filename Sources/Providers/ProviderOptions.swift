package import Base
package import Events

/// One `[[providers]]` table, as the configuration has checked it.
package struct ProviderOptions: Sendable, Hashable {
  /// What speaks behind a provider's name.
  package enum Kind: String, Sendable, CaseIterable {
    /// Chat Completions over HTTP: OpenAI, Ollama, vLLM, llama.cpp and many more.
    case openai
    /// The small model this node runs and supervises itself.
    case local
    /// Quotes the passages that were retrieved; needs no model.
    case extractive
    /// Deterministic, in this process: demonstrations and tests.
    case scripted
  }

  package var name: String
  package var kind: Kind
  /// Of `openai`: scheme, host, port and path up to the part before `/chat/completions`.
  package var baseURL: String
  package var apiKey: String?
  /// Models that may be asked for; the first is the default.
  package var models: [String]
  package var headers: [String: String]
  package var prices: [String: ModelPrices]
  package var timeouts: ProviderTimeouts
  /// Of `local`: where `scripts/model.sh` has put the model (`LocalModelFiles`).
  package var modelDirectory: String
  /// Of `local`: threads of the model server.
  package var threads: Int

  package init(
    name: String, kind: Kind, baseURL: String = "", apiKey: String? = nil, models: [String] = []
  ) {
    self.name = name
    self.kind = kind
    self.baseURL = baseURL
    self.apiKey = apiKey
    self.models = models
    headers = [:]
    prices = [:]
    timeouts = ProviderTimeouts()
    modelDirectory = ".models"
    threads = 1
  }
}

/// Limits of one call; SURFACE's defaults.
package struct ProviderTimeouts: Sendable, Hashable {
  package var connect = Nanoseconds.seconds(5)
  /// From the request's start to the answer's head.
  package var firstByte = Nanoseconds.seconds(60)
  /// Between two reads of a stream.
  package var idle = Nanoseconds.seconds(30)
  package var total = Nanoseconds.seconds(600)

  package init() {}
}

/// One `[[routes]]` table.
package struct RouteOptions: Sendable, Hashable {
  /// Failures after which the next of `use` is called instead of the same one again.
  package static let fallbackCodesDefault: Set<ErrorCode> = [
    .providerOverloaded, .providerUnavailable, .providerRateLimited, .providerQuota,
    .providerTimeout, .providerProtocol, .providerStreamCut,
  ]

  package var name: String
  /// `provider/model`, in order.
  package var use: [String]
  package var fallbackCodes: Set<ErrorCode>

  package init(
    name: String, use: [String],
    fallbackCodes: Set<ErrorCode> = RouteOptions.fallbackCodesDefault
  ) {
    self.name = name
    self.use = use
    self.fallbackCodes = fallbackCodes
  }
}
