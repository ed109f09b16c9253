package import Base

/// What the log counts, for `/metrics` (names there begin with `kfm_log_`).
package final class LogMetrics: Sendable {
  /// Commit groups made durable; each took one fdatasync.
  package let commits = Counter()
  package let records = Counter()
  /// Bytes written to the journal, padding included.
  package let journalBytes = Counter()
  package let flushes = Counter()
  package let flushedBytes = Counter()
  package let checkpoints = Counter()
  /// Torn ends that recovery cut off.
  package let tornTails = Counter()
  /// Places found damaged.
  package let damages = Counter()
  /// Appends refused because the disk was full.
  package let diskFullRefusals = Counter()

  package init() {}
}
