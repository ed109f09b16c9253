import Events
import Observability

/// Readiness of the language models (SURFACE): `provider.<name>` each; the node fails when none
/// that a route can use is reachable, and warns when some are not.
enum ProviderHealth {
  static func checks(
    _ reachability: [(provider: String, reachable: Bool, detail: String)]
  ) -> [HealthCheck] {
    guard !reachability.isEmpty else {
      return [HealthCheck("providers", .fail, "no provider is configured; see [[providers]]")]
    }
    let missing: HealthStatus = reachability.contains(where: \.reachable) ? .warn : .fail
    return reachability.map { provider, isReachable, detail in
      HealthCheck(
        "provider.\(provider)", isReachable ? .ok : missing, detail.isEmpty ? nil : detail)
    }
  }
}
