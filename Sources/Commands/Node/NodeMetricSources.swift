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
    counter("kfm_ring_enters_total", "Calls of io_uring_enter or epoll_wait.", ring.enters)
    counter("kfm_ring_completions_total", "Completions reaped.", ring.completions)
    counter("kfm_ring_wakeups_total", "Wake-ups from other threads.", ring.wakeups)
    counter(
      "kfm_ring_receive_buffers_exhausted_total", "Receives that found no buffer.",
      ring.receiveBuffersExhausted)
    counter("kfm_ring_accept_pauses_total", "Pauses for want of descriptors.", ring.acceptPauses)
    counter(
      "kfm_ring_stalls_total", "Callbacks that held the loop for 50 ms or longer.", ring.stalls)
    counter("kfm_log_commits_total", "Commit groups: one write and one fdatasync.", log.commits)
    counter(
      "kfm_log_stored_commits_total",
      "Commit groups of replicated topics that were stored in mapped pages.", log.storedCommits)
    counter("kfm_log_records_total", "Records appended.", log.records)
    counter("kfm_log_journal_bytes_total", "Bytes written to the journal.", log.journalBytes)
    counter("kfm_log_checkpoints_total", "Journal files recycled.", log.checkpoints)
    counter("kfm_log_torn_tails_total", "Torn tails absorbed at start.", log.tornTails)
    counter("kfm_log_damages_total", "Damages found inside partitions.", log.damages)
    counter(
      "kfm_log_disk_full_refusals_total", "Appends refused for want of space.",
      log.diskFullRefusals)
    registerLog(with: collector)
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

  private func registerLog(with collector: MetricsCollector) {
    func counter(_ name: String, _ help: String, _ source: Counter) {
      collector.counter(MetricDescription(name, help)) { [MetricSample([], Double(source.value))] }
    }
    func gauge(_ name: String, _ help: String, _ source: Gauge) {
      collector.gauge(MetricDescription(name, help)) { [MetricSample([], Double(source.value))] }
    }
    counter(
      "kfm_log_deleted_records_total", "Records that retention or a cut took away.",
      log.deletedRecords)
    counter(
      "kfm_log_deleted_bytes_total", "Bytes of segment files that were deleted.",
      log.deletedBytes)
    counter(
      "kfm_log_clock_jumps_total", "Jumps of the clock that stopped deleting by age.",
      log.clockJumps)
    counter(
      "kfm_log_offset_gaps_total", "Partitions that skipped offsets after a power loss.",
      log.offsetGaps)
    counter(
      "kfm_log_leases_exceeded_total", "Polls refused because readers held too much or too long.",
      log.leasesExceeded)
    counter(
      "kfm_log_duplicates_total", "Records that were on the log already, by message id.",
      log.duplicates)
    counter("kfm_log_packed_segments_total", "Segments that were packed.", log.packedSegments)
    counter(
      "kfm_log_packed_bytes_saved_total", "Bytes that packed segments take less.",
      log.packedBytesSaved)
    gauge("kfm_log_leased_bytes", "Bytes read from segments that readers hold.", log.leasedBytes)
    gauge(
      "kfm_log_unsynced_bytes", "Acknowledged on replicated topics and not synced yet.",
      log.unsyncedBytes)
    gauge(
      "kfm_log_retention_suspended", "1 while nothing expires by age because the clock jumped.",
      log.retentionSuspended)
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
