package import Base
package import Events

/// What an `EmbeddedBus` is made of.
package struct EmbeddedBusOptions {
  package var storage: any LoopStorage
  package var loop: any LogLoop
  package var logger: Logger
  /// For messages; where `storage` has its root.
  package var dataDirectory: String
  /// Partitions of each session-keyed topic: a power of two up to 4,096, fixed when the data
  /// directory is created (SEMANTICS D2).
  package var partitions = 16
  /// Topics besides a node's, and their partition counts should they have to be made.
  package var partitionCounts: [Topic: Int] = [:]
  package var limits = LogLimits()
  /// How topics are kept; those not named keep what the catalog says.
  package var topics: [Topic: TopicSettings] = [:]
  /// The least any topic gets, whatever its creator asked for.
  package var durabilityFloor = Durability.replicated
  /// What batches are enciphered with on the disk; nil for not at all. A log that has been
  /// enciphered once is opened with its key only.
  package var key: LogKey?
  package var metrics = LogMetrics()

  package init(
    storage: any LoopStorage, loop: any LogLoop, logger: Logger, dataDirectory: String
  ) {
    self.storage = storage
    self.loop = loop
    self.logger = logger
    self.dataDirectory = dataDirectory
  }
}
