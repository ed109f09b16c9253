/// Counts of provider calls, for `kfm_provider_requests_total` and `kfm_cost_micros_total`.
package final class ProviderMetrics {
  package struct RequestLabels: Hashable {
    package var provider: String
    package var model: String
    /// `ok`, `cancelled` or an error code.
    package var outcome: String

    package init(provider: String, model: String, outcome: String) {
      self.provider = provider
      self.model = model
      self.outcome = outcome
    }
  }

  package struct CostLabels: Hashable {
    package var provider: String
    package var model: String
  }

  /// Series of one metric: providers and models are configured, so this is reached only by a
  /// configuration that has hundreds; what is above counts as `other`.
  package static let seriesMax = 512

  package private(set) var requests: [RequestLabels: Int] = [:]
  package private(set) var costMicros: [CostLabels: Int] = [:]

  package init() {}

  package func count(provider: String, model: String, outcome: String) {
    let labels = RequestLabels(provider: provider, model: model, outcome: outcome)
    let isKnown = requests[labels] != nil || requests.count < Self.seriesMax
    let key =
      isKnown ? labels : RequestLabels(provider: "other", model: "other", outcome: outcome)
    requests[key, default: 0] += 1
  }

  package func addCost(provider: String, model: String, micros: Int) {
    let labels = CostLabels(provider: provider, model: model)
    let isKnown = costMicros[labels] != nil || costMicros.count < Self.seriesMax
    costMicros[isKnown ? labels : CostLabels(provider: "other", model: "other"), default: 0] +=
      micros
  }
}
