package import Base

/// The metrics of SURFACE that parts of a node count into. Pulled values (bus, ring, log, process)
/// are registered by whoever has them.
package final class NodeMetrics {
  package let collector: MetricsCollector

  /// By terminal status.
  package let turns: MetricSeries<Counter>
  package let turnDuration: DurationHistogram
  /// A turn's time without its provider and tool calls and without waits.
  package let turnOverhead: DurationHistogram
  /// By direction: `in`, `out`, `cached`.
  package let tokens: MetricSeries<Counter>
  /// By kind (`process`) and outcome (`completed`, `failed`, `refused`).
  package let toolRuns: MetricSeries<Counter>
  /// Requests answered with a problem document, by code.
  package let requestsRefused: MetricSeries<Counter>

  package init(_ collector: MetricsCollector) {
    self.collector = collector
    func counter(_ name: String, _ help: String, _ labels: String...) -> MetricSeries<Counter> {
      collector.counter(MetricDescription(name, help, labels: labels))
    }
    func histogram(_ name: String, _ help: String) -> DurationHistogram {
      collector.histogram(MetricDescription(name, help))[]
    }
    turns = counter("kfm_turns_total", "Turns that ended, by status.", "status")
    turnDuration = histogram(
      "kfm_turn_duration_seconds", "Time from a turn's acceptance to its end.")
    turnOverhead = histogram(
      "kfm_turn_overhead_seconds", "Time of a turn without its provider, its tools and its waits.")
    tokens = counter("kfm_tokens_total", "Tokens of language model calls.", "direction")
    toolRuns = counter("kfm_tool_runs_total", "Runs of tools by outcome.", "kind", "outcome")
    requestsRefused = counter(
      "kfm_requests_refused_total", "HTTP requests answered with a problem document.", "code")
    // What a graph or an alert starts from must be there before the first event.
    for status in ["completed", "failed", "cancelled", "merged"] { _ = turns[status] }
    for direction in ["in", "out", "cached"] { _ = tokens[direction] }
  }

  /// Adds the log's own counts.
  package func register(log: StructuredLogger) {
    func pull(_ name: String, _ help: String, _ counter: Counter) {
      collector.counter(MetricDescription(name, help)) {
        [MetricSample([], Double(counter.value))]
      }
    }
    pull(
      "kfm_logger_records_dropped_total", "Log records dropped because their reader was too slow.",
      log.ring.dropped)
    pull("kfm_logger_lines_total", "Lines written to the log.", log.written)
    pull("kfm_logger_lines_failed_total", "Lines that could not be written.", log.failed)
  }
}
