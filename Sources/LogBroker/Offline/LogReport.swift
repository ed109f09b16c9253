package import Base
package import Events

/// What `kfm log verify|inspect` find in a data directory.
package struct LogReport: Sendable {
  package struct Segment: Sendable {
    package var path: String
    package var base: UInt64
    package var bytes: Int
    package var batches: Int
    package var records: Int
    /// Append times of its first and last record; nil when it holds none.
    package var firstTime: Timestamp?
    package var lastTime: Timestamp?
    package var problems: [String]
  }

  package struct Partition: Sendable {
    package var target: TopicPartition
    package var firstOffset: UInt64
    package var endOffset: UInt64
    /// Offsets without a record, and it is known why.
    package var gaps: [Range<UInt64>]
    /// Records that are in the journal only.
    package var journalRecords: Int
    package var segments: [Segment]
    /// What is wrong, each with its place.
    package var problems: [String]
  }

  package var partitions: [Partition] = []
  /// Commit groups in the journals that no checkpoint has.
  package var journalGroups = 0
  package var tornTails = 0
  /// What is wrong with the journals, each with its file.
  package var journalProblems: [String] = []

  package var problems: [String] { journalProblems + partitions.flatMap(\.problems) }
}
