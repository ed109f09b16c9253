import Base
import HTTP
import Observability

/// The counts of the HTTP server, as metrics.
enum HTTPMetrics {
  static func register(_ http: HTTPServerStatistics, with collector: MetricsCollector) {
    func counter(_ name: String, _ help: String, _ counter: Counter) {
      collector.counter(MetricDescription(name, help)) {
        [MetricSample([], Double(counter.value))]
      }
    }
    counter("kfm_http_connections_total", "Connections accepted.", http.connections)
    counter("kfm_http_requests_total", "Requests read.", http.requests)
    counter(
      "kfm_streams_overrun_total", "Streams cut because their client was too slow.",
      http.slowClients)
    collector.gauge(MetricDescription("kfm_http_connections_open", "Connections open now.")) {
      [MetricSample([], Double(http.connectionsOpen.value))]
    }
    let classes = [
      ("2xx", http.successes), ("4xx", http.clientErrors), ("5xx", http.serverErrors),
    ]
    collector.counter(
      MetricDescription("kfm_http_responses_total", "Answers by status.", labels: ["class"])
    ) { classes.map { MetricSample([$0.0], Double($0.1.value)) } }
  }
}
