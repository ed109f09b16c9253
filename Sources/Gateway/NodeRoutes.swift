import Base
import Events
import HTTP
import Observability

/// Health and metrics.
final class NodeRoutes {
  private let context: GatewayContext
  private let lag = LagSnapshot()

  init(_ context: GatewayContext) {
    self.context = context
    let collector = context.services.metrics.collector
    let labels = ["topic", "partition", "group"]
    collector.gauge(
      MetricDescription(
        "kfm_bus_lag_messages", "Records that a consumer group has not consumed.", labels: labels)
    ) { [lag] in lag.rows.map { MetricSample($0.labels, Double($0.messages)) } }
    collector.gauge(
      MetricDescription(
        "kfm_bus_lag_seconds", "Age of the oldest record that is not consumed.", labels: labels)
    ) { [lag] in lag.rows.map { MetricSample($0.labels, $0.age.seconds) } }
    let providers = context.services.providers
    context.services.health.register { ProviderHealth.checks(providers.reachability()) }
  }

  func register(_ router: inout Router<GatewayRoute>) {
    router.add(.get, "/health/live", GatewayRoute(live))
    router.add(.get, "/health/ready", GatewayRoute(ready))
    router.add(.get, "/metrics", GatewayRoute(metrics))
  }

  private func live(_ exchange: Exchange) throws(Problem) {
    exchange.answer(200, ["status": "ok"])
  }

  private func ready(_ exchange: Exchange) throws(Problem) {
    context.services.providers.refreshReachability { [context] in
      let report = context.services.health.report()
      exchange.answer(report.status == .fail ? 503 : 200, report.json)
    }
  }

  private func metrics(_ exchange: Exchange) throws(Problem) {
    context.services.bus.lag { result in
      // Without the bus the other metrics are needed all the more.
      self.lag.rows = (try? result.get()) ?? []
      exchange.answer(
        200, self.context.services.metrics.collector.render(),
        type: MetricsCollector.contentType)
    }
  }
}

/// What was read for the scrape at hand.
private final class LagSnapshot {
  var rows: [LagRow] = []
}

extension LagRow {
  fileprivate var labels: [String] { [target.topic.name, String(target.partition), group] }
}
