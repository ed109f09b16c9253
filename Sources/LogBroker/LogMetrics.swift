package import Base
import Events

/// What the log counts, for `/metrics` (names there begin with `kfm_log_`).
package final class LogMetrics: Sendable {
  /// Commit groups made durable; each took one fdatasync.
  package let commits = Counter()
  package let records = Counter()
  /// Those of them that were stored in the journal's mapped pages.
  package let storedCommits = Counter()
  /// Bytes written to the journal, padding included.
  package let journalBytes = Counter()
  /// Batches written straight to their segments, and their bytes, padding included.
  package let directWrites = Counter()
  package let directBytes = Counter()
  package let flushes = Counter()
  package let flushedBytes = Counter()
  package let checkpoints = Counter()
  /// Torn ends that recovery cut off.
  package let tornTails = Counter()
  /// Partitions found damaged.
  package let damages = Counter()
  /// Acknowledged on `replicated` topics and not synced yet.
  package let unsyncedBytes = Gauge()
  /// Partitions that went on above their reservation after the machine had been started anew.
  package let offsetGaps = Counter()
  /// Bytes read from segments that readers hold, and polls refused because that was too much or too
  /// long.
  package let leasedBytes = Gauge()
  package let leasesExceeded = Counter()
  /// Records that were on the log already, by their message ids.
  package let duplicates = Counter()
  /// Records that retention or "delete up to offset" took away, and bytes of their files.
  package let deletedRecords = Counter()
  package let deletedBytes = Counter()
  /// Segments that were packed, and the bytes that took less.
  package let packedSegments = Counter()
  package let packedBytesSaved = Counter()
  /// 1 while nothing expires by age because the clock jumped.
  package let retentionSuspended = Gauge()
  package let clockJumps = Counter()
  /// Appends refused because the disk was full.
  package let diskFullRefusals = Counter()

  package init() {}

  func reportDamage(_ log: PartitionLog, _ reason: String, _ logger: Logger) {
    damages.add()
    logger.error(
      "partition damaged: it takes no records until it is repaired",
      [
        "topic": .string(log.target.topic.path), "partition": .int(Int64(log.target.partition)),
        "reason": .string(reason),
      ])
  }
}
