import AgentEngine
import Base
import LogBroker
import MemoryService
import Observability
import Providers
import UringIO
import VectorIndex

/// Counts that parts keep for themselves, pulled when metrics are rendered.
struct NodeMetricSources {
  let ring: RingStatistics
  let log: LogMetrics
  let engine: EngineMetrics
  let providers: ProviderMetrics
  let memory: MemoryOperations

  func register(with collector: MetricsCollector, startedAt: Timestamp) {
    func counter(_ name: String, _ help: String, _ source: Counter) {
      collector.counter(MetricDescription(name, help)) { [MetricSample([], Double(source.value))] }
    }
    counter("kfm_ring_enters_total", "Calls of io_uring_enter.", ring.enters)
    counter("kfm_ring_completions_total", "Completions reaped.", ring.completions)
    counter("kfm_ring_wakeups_total", "Wake-ups from other threads.", ring.wakeups)
    counter(
      "kfm_ring_receive_buffers_exhausted_total", "Receives that found no buffer.",
      ring.receiveBuffersExhausted)
    counter("kfm_ring_accept_pauses_total", "Pauses for want of descriptors.", ring.acceptPauses)
    counter("kfm_log_commits_total", "Commit groups: one write and one fdatasync.", log.commits)
    counter("kfm_log_records_total", "Records appended.", log.records)
    counter("kfm_log_journal_bytes_total", "Bytes written to the journal.", log.journalBytes)
    counter("kfm_log_checkpoints_total", "Journal files recycled.", log.checkpoints)
    counter("kfm_log_torn_tails_total", "Torn tails absorbed at start.", log.tornTails)
    counter("kfm_log_damages_total", "Damages found inside partitions.", log.damages)
    counter(
      "kfm_log_disk_full_refusals_total", "Appends refused for want of space.",
      log.diskFullRefusals)
    counter("kfm_turn_takeovers_total", "Turns resumed with a step cut short.", engine.takeovers)
    counter("kfm_append_retries_total", "Journal appends made again.", engine.appendRetries)
    counter("kfm_memory_retrievals_total", "Questions to knowledge.", memory.metrics.retrievals)
    counter(
      "kfm_memory_cache_hits_total", "Questions answered from the cache.",
      memory.metrics.cacheHits)
    registerProbes(with: collector)
    registerProviders(with: collector)
    collector.gauge(MetricDescription("kfm_turns_running", "Turns that run now.")) { [engine] in
      [MetricSample([], Double(engine.turnsRunning.value))]
    }
    ProcessMetrics.register(with: collector, started: startedAt)
  }

  /// Over all indexes, each weighed by its comparisons; no sample before the first comparison.
  private func registerProbes(with collector: MetricsCollector) {
    func gauge(
      _ name: String, _ help: String, _ value: @escaping (RecallProbe.Report) -> Double
    ) {
      collector.gauge(MetricDescription(name, help)) { [memory] in
        let reports = memory.probes.map(\.report).filter { $0.comparisons > 0 }
        guard !reports.isEmpty else { return [] }
        let all = reports.reduce(0) { $0 + $1.comparisons }
        let sum = reports.reduce(0.0) { $0 + value($1) * Double($1.comparisons) }
        return [MetricSample([], sum / Double(all))]
      }
    }
    gauge("kfm_index_recall_probe", "Recall@10 of vector search on a sample of questions.") {
      $0.recall
    }
    gauge("kfm_index_recall_drift", "By how much recall fell below the first round's.") {
      $0.drift
    }
  }

  private func registerProviders(with collector: MetricsCollector) {
    let requests = MetricDescription(
      "kfm_provider_requests_total", "Calls of language models by outcome (ok or error code).",
      labels: ["provider", "model", "class"])
    collector.counter(requests) { [providers] in
      providers.requests.map {
        MetricSample([$0.key.provider, $0.key.model, $0.key.outcome], Double($0.value))
      }
    }
    let cost = MetricDescription(
      "kfm_cost_micros_total", "Cost of language model calls in millionths of their currency.",
      labels: ["provider", "model"])
    collector.counter(cost) { [providers] in
      providers.costMicros.map {
        MetricSample([$0.key.provider, $0.key.model], Double($0.value))
      }
    }
  }
}
