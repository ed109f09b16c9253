import Base
import HTTP
import Observability
import UringIO

/// The counts of the event loop and of the HTTP server, as metrics.
enum TransportMetrics {
  static func register(
    _ collector: MetricsCollector, ring: RingStatistics, http: HTTPServerStatistics
  ) {
    let counters: [(name: String, help: String, counter: Counter)] = [
      ("kfm_ring_enters_total", "Calls of io_uring_enter.", ring.enters),
      ("kfm_ring_completions_total", "Completions of the ring.", ring.completions),
      (
        "kfm_ring_submission_queue_full_total", "Early submissions for want of room.",
        ring.submissionQueueFull
      ),
      (
        "kfm_ring_completion_queue_full_total", "Completions the kernel held back.",
        ring.completionQueueFull
      ),
      ("kfm_ring_wakeups_total", "Wake-ups of the loop by other threads.", ring.wakeups),
      (
        "kfm_ring_receive_buffers_exhausted_total", "Receives that found no free buffer.",
        ring.receiveBuffersExhausted
      ),
      (
        "kfm_ring_accept_pauses_total", "Pauses of accepting for want of descriptors or memory.",
        ring.acceptPauses
      ),
      ("kfm_http_connections_total", "Connections accepted.", http.connections),
      ("kfm_http_requests_total", "Requests read.", http.requests),
      (
        "kfm_streams_overrun_total", "Streams cut because their client was too slow.",
        http.slowClients
      ),
    ]
    for (name, help, counter) in counters {
      collector.counter(MetricDescription(name, help)) {
        [MetricSample([], Double(counter.value))]
      }
    }
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
