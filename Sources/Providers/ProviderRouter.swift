package import Base
package import Events

/// All providers of a node behind one interface: resolves models and routes, makes calls with
/// retries and fallback, and accounts for them.
package final class ProviderRouter: ProviderInterface {
  package struct Dependencies {
    package var timers: any TimerService
    package var random: any RandomSource
    package var logger: Logger

    package init(timers: any TimerService, random: any RandomSource, logger: Logger) {
      self.timers = timers
      self.random = random
      self.logger = logger
    }
  }

  package let metrics = ProviderMetrics()
  /// Applies to calls that start from now on.
  package var policy: RetryPolicy
  private let dependencies: Dependencies
  /// Nil while the automatic choice is being made.
  private var providers: ProviderSet?
  /// Calls that came before the choice was made.
  private var waiting: [GenerateCall] = []

  /// Answers nothing until a set is installed.
  package init(policy: RetryPolicy, dependencies: Dependencies) {
    self.policy = policy
    self.dependencies = dependencies
  }

  /// Takes a configuration into use and stops what the one before had and this has not. Calls
  /// that run go on.
  package func install(_ providers: ProviderSet) {
    self.providers?.stop(except: providers)
    self.providers = providers
    let calls = waiting
    waiting = []
    for call in calls where !call.hasEnded { call.start(providers) }
  }

  package func generate(
    _ request: GenerateRequest, sink: @escaping (GenerateEvent) -> Void
  ) -> any Cancellable {
    let call = GenerateCall(
      request: request, policy: policy, dependencies: dependencies, metrics: metrics, sink: sink)
    if let providers { call.start(providers) } else { waiting.append(call) }
    return call
  }

  package func profile(model: String?, route: String) -> ModelProfile? {
    guard let providers else {
      // Undecided for at most some hundred milliseconds after a start: what fits every outcome.
      return model == nil
        ? ModelProfile(promptTokensMax: LocalProvider.promptTokensMax, supportsTools: false) : nil
    }
    return providers.candidates(model: model, route: route).first?.provider.profile
  }

  package func reachability() -> [(provider: String, reachable: Bool, detail: String)] {
    (providers?.routed ?? []).map { provider in
      let (reachable, detail) = provider.reachability()
      return (provider.name, reachable, detail)
    }
  }

  /// Calls `completion` once every result of `reachability()` is at most
  /// `ReachabilityProbe.ageMax` old; within some seconds.
  package func refreshReachability(_ completion: @escaping () -> Void) {
    var left = 1
    let done = {
      left -= 1
      if left == 0 { completion() }
    }
    for provider in providers?.routed ?? [] {
      guard let adapter = provider as? OpenAIAdapter else { continue }
      left += 1
      adapter.refreshReachability(done)
    }
    done()
  }

  /// `provider/model` of everything that can be asked for, in configured order.
  package var models: [String] {
    (providers?.entries ?? []).flatMap { entry in
      entry.provider.models.map { "\(entry.provider.name)/\($0)" }
    }
  }

  /// Ends what the providers run. Calls are cancelled by whoever started them.
  package func stop() {
    providers?.stop(except: nil)
  }
}
