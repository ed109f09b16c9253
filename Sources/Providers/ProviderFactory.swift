package import Base
package import HTTP
package import UringIO

/// Builds the providers of a node from their options.
package final class ProviderFactory {
  package struct Dependencies {
    package var loop: EventLoop
    package var transport: any HTTPTransport
    package var sideThreads: SideThreads
    package var random: any RandomSource
    package var logger: Logger
    /// The process's environment, for the automatic choice.
    package var environment: [String: String]

    package init(
      loop: EventLoop, transport: any HTTPTransport, sideThreads: SideThreads,
      random: any RandomSource, logger: Logger, environment: [String: String]
    ) {
      self.loop = loop
      self.transport = transport
      self.sideThreads = sideThreads
      self.random = random
      self.logger = logger
      self.environment = environment
    }
  }

  /// What a configuration asks for.
  private struct Wanted: Equatable {
    var providers: [ProviderOptions]
    var routes: [RouteOptions]
    var localModels: [String]
  }

  private let dependencies: Dependencies
  private var wanted: Wanted?
  private var made: [ProviderOptions: any ModelProvider] = [:]

  package init(_ dependencies: Dependencies) { self.dependencies = dependencies }

  package func makeRouter(policy: RetryPolicy) -> ProviderRouter {
    ProviderRouter(
      policy: policy,
      dependencies: ProviderRouter.Dependencies(
        timers: dependencies.loop, random: dependencies.random, logger: dependencies.logger))
  }

  /// Takes `[[providers]]` and `[[routes]]` into use, at the start and on reload; what is in use
  /// already stays as it is. Without providers the automatic choice is made, which may take
  /// `OllamaProbe.timeout`; calls wait for it. `localModels` are directories in which a local
  /// model may be installed, best first.
  package func configure(
    _ router: ProviderRouter, providers: [ProviderOptions], routes: [RouteOptions],
    localModels: [String]
  ) {
    let wanted = Wanted(providers: providers, routes: routes, localModels: localModels)
    guard wanted != self.wanted else { return }
    self.wanted = wanted
    guard providers.isEmpty else {
      let set = makeSet(providers, routes)
      for options in providers { logProvider(options, reason: "configured") }
      return router.install(set)
    }
    let choose = { [self] (ollamaModel: String?) in
      // A reload may have come while Ollama was asked.
      if wanted == self.wanted { router.install(automaticSet(wanted, ollamaModel)) }
    }
    if dependencies.environment["OPENAI_API_KEY", default: ""].isEmpty {
      OllamaProbe.firstModel(transport: dependencies.transport, completion: choose)
    } else {
      choose(nil)
    }
  }

  private func automaticSet(_ wanted: Wanted, _ ollamaModel: String?) -> ProviderSet {
    let installed = wanted.localModels.first { LocalModelFiles.isInstalled(directory: $0) }
    var choice = AutomaticChoice.choose(
      AutomaticChoice.Findings(
        environment: dependencies.environment, ollamaModel: ollamaModel,
        isLocalModelInstalled: installed != nil))
    choice.options.modelDirectory = installed ?? choice.options.modelDirectory
    for words in choice.skipped {
      dependencies.logger.warning("provider skipped", ["reason": .string(words)])
    }
    let set = makeSet([choice.options], wanted.routes)
    logProvider(choice.options, reason: choice.reason)
    return set
  }

  private func makeSet(_ providers: [ProviderOptions], _ routes: [RouteOptions]) -> ProviderSet {
    let before = made
    made = [:]
    return ProviderSet(
      entries: providers.map { options in
        // A reload that leaves a provider's table alone leaves its model server running.
        let provider = before[options] ?? makeProvider(options)
        made[options] = provider
        var prices = options.prices
        for model in provider.models where prices[model] == nil && options.kind.isFree {
          prices[model] = .free
        }
        return ProviderSet.Entry(provider: provider, prices: prices)
      }, routes: routes)
  }

  private func makeProvider(_ options: ProviderOptions) -> any ModelProvider {
    let adapterDependencies = OpenAIAdapter.Dependencies(
      transport: dependencies.transport, clock: dependencies.loop.clock,
      random: dependencies.random)
    switch options.kind {
    case .openai:
      let probe = HTTPURL(options.baseURL).map {
        ReachabilityProbe(
          url: $0, loop: dependencies.loop, sideThreads: dependencies.sideThreads)
      }
      return OpenAIAdapter(options: options, dependencies: adapterDependencies, probe: probe)
    case .local:
      let server = LocalModelServer(
        directory: options.modelDirectory, threads: options.threads, loop: dependencies.loop,
        logger: dependencies.logger)
      server.start()
      return LocalProvider(
        options: options, server: server, dependencies: adapterDependencies)
    case .extractive:
      return ExtractiveProvider(
        name: options.name, models: options.models, timers: dependencies.loop)
    case .scripted:
      return ScriptedProvider(
        name: options.name, models: options.models, timers: dependencies.loop)
    }
  }

  private func logProvider(_ options: ProviderOptions, reason: String) {
    dependencies.logger.info(
      "provider",
      [
        "provider": .string(options.name), "kind": .string(options.kind.rawValue),
        "model": made[options]?.models.first.map { .string($0) } ?? .null,
        "reason": .string(reason),
      ])
  }
}

extension ProviderOptions.Kind {
  /// Runs on this machine: a price of zero is known.
  var isFree: Bool { self == .local || self == .extractive }
}
