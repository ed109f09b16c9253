import Base
import Events

/// One step's call: as many provider calls as the policy allows, one after the other.
final class GenerateCall: Cancellable {
  private let request: GenerateRequest
  private let policy: RetryPolicy
  private let dependencies: ProviderRouter.Dependencies
  private let metrics: ProviderMetrics
  private let sink: (GenerateEvent) -> Void
  private var candidates: [ProviderSet.Candidate] = []
  private var retries: RetryHandler?
  private var costs = CostTracker()
  private var current: (any Cancellable)?
  /// The provider call that is being waited for.
  private var running: ProviderSet.Candidate?
  /// Deltas of the current call were handed out.
  private var hasShownText = false
  private(set) var hasEnded = false

  init(
    request: GenerateRequest, policy: RetryPolicy, dependencies: ProviderRouter.Dependencies,
    metrics: ProviderMetrics, sink: @escaping (GenerateEvent) -> Void
  ) {
    self.request = request
    self.policy = policy
    self.dependencies = dependencies
    self.metrics = metrics
    self.sink = sink
  }

  func start(_ providers: ProviderSet) {
    candidates = providers.candidates(model: request.model, route: request.route)
    guard let first = candidates.first else {
      let wanted = request.model.map { "model \($0)" } ?? "route \(request.route)"
      let failure = TurnFailure(.providerNotFound, "no configured provider has the \(wanted)")
      // Not from inside `generate`.
      current = dependencies.timers.schedule(after: .zero) { [self] in end(failure) }
      return
    }
    retries = RetryHandler(
      policy: policy, candidateCount: candidates.count,
      fallbackCodes: request.model == nil ? providers.fallbackCodes(route: request.route) : [])
    call(first)
  }

  func cancel() {
    guard !hasEnded else { return }
    hasEnded = true
    if let running { count(running, "cancelled") }
    current?.cancel()
    current = nil
  }

  private func call(_ candidate: ProviderSet.Candidate) {
    running = candidate
    current = candidate.provider.call(request, model: candidate.model) { [self] event in
      guard !hasEnded else { return }
      switch event {
      case .delta(let text):
        hasShownText = true
        sink(.delta(text))
      case .finished(let result): finished(result, candidate)
      case .failed(let failure): failed(failure, candidate)
      }
    }
  }

  private func finished(_ result: CallResult, _ candidate: ProviderSet.Candidate) {
    account(result.usage, candidate, outcome: "ok")
    hasEnded = true
    current = nil
    sink(
      .finished(
        GenerateResult(
          model: candidate.qualifiedName, text: result.text, toolCalls: result.toolCalls,
          finishReason: result.finishReason, usage: costs.usage)))
  }

  private func failed(_ call: CallFailure, _ candidate: ProviderSet.Candidate) {
    account(call.usage, candidate, outcome: call.failure.code.rawValue)
    guard
      case .call(let next, let wait) = retries?.failed(call, random: dependencies.random)
        ?? .giveUp
    else { return end(call.failure) }
    dependencies.logger.warning(
      "provider call failed", trace: request.traceID,
      [
        "provider": .string(candidate.qualifiedName),
        "code": .string(call.failure.code.rawValue), "error": .string(call.failure.message),
        "next": .string(candidates[next].qualifiedName), "wait_ms": .int(wait.milliseconds),
      ])
    current = dependencies.timers.schedule(after: wait) { [self] in again(candidates[next]) }
  }

  private func again(_ candidate: ProviderSet.Candidate) {
    costs.countRetry()
    if hasShownText {
      hasShownText = false
      sink(.restarted)
      guard !hasEnded else { return }
    }
    call(candidate)
  }

  private func end(_ failure: TurnFailure) {
    hasEnded = true
    current = nil
    sink(.failed(failure, usage: costs.usage))
  }

  private func account(_ usage: Usage, _ candidate: ProviderSet.Candidate, outcome: String) {
    running = nil
    costs.add(usage, prices: candidate.prices)
    count(candidate, outcome)
    if let prices = candidate.prices, let cost = CostTracker.cost(of: usage, prices: prices) {
      metrics.addCost(
        provider: candidate.provider.name, model: candidate.model, micros: cost)
    }
  }

  private func count(_ candidate: ProviderSet.Candidate, _ outcome: String) {
    metrics.count(
      provider: candidate.provider.name, model: candidate.model, outcome: outcome)
  }
}
