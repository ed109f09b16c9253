import Base
import Events

/// Packs closed segments of topics that want it, one after the other, beside the loop. A packed copy
/// counts from the moment it is durable; the file it was made from goes once a checkpoint names the
/// copy.
final class PackingTask {
  private let storage: any LoopStorage
  private let files: SegmentFiles
  private let table: PartitionTable
  private let limits: LogLimits
  private let metrics: LogMetrics
  private let logger: Logger
  private let hasWork: Bool
  private(set) var isRunning = false
  /// Nothing is begun any more.
  var isStopped = false
  /// Hears that there are files that a checkpoint has to name before they can go.
  var onPacked: () -> Void = {}
  /// Hears that a sync failed.
  var onFailedSync: (StorageFailure) -> Void = { _ in }
  /// Hears that nothing is under way.
  var onIdle: () -> Void = {}

  init(_ options: EmbeddedBusOptions, table: PartitionTable, files: SegmentFiles) {
    storage = options.storage
    limits = options.limits
    metrics = options.metrics
    logger = options.logger.named("log")
    self.table = table
    self.files = files
    // What is enciphered gets no smaller.
    hasWork =
      table.cipher == nil
      && Topic.everyCase.contains { table.settings(of: $0).compression == .zstd }
  }

  /// Packs what there is to pack.
  func run() {
    guard hasWork, !isRunning else { return }
    isRunning = true
    step(0)
  }

  private func step(_ packed: Int) {
    guard !isStopped, let (log, segment) = next() else {
      isRunning = false
      if packed > 0 { onPacked() }
      return onIdle()
    }
    storage.pack(segment.path, size: segment.size) { [self] result in
      switch result {
      case .success(let bytes):
        done(log, segment, bytes)
        step(packed + 1)
      case .failure(let failure):
        segment.cannotBePacked = true
        failed(segment, failure)
        step(packed)
      }
    }
  }

  /// The oldest segment of a partition that nothing is written to, now or after any crash.
  private func next() -> (PartitionLog, Segment)? {
    for topic in Topic.everyCase where table.settings(of: topic).compression == .zstd {
      for log in table.existing(topic) where log.damage == nil {
        for (segment, successor) in zip(log.segments, log.segments.dropFirst())
        where !segment.isPacked && !segment.cannotBePacked && segment.size >= limits.packBytesMin
          && !segment.isDirty && successor.syncedSize > 0 && successor.base <= log.syncedEnd
        {
          return (log, segment)
        }
      }
    }
    return nil
  }

  private func done(_ log: PartitionLog, _ segment: Segment, _ bytes: Int) {
    guard log.segments.contains(where: { $0 === segment }) else {
      // Retention was faster: the copy goes with the next checkpoint.
      return log.stalePaths.append(SegmentPacker.packedPath(segment.path))
    }
    metrics.packedSegments.add()
    metrics.packedBytesSaved.add(max(0, segment.size - bytes))
    log.stalePaths.append(segment.path)
    files.closePlain(segment)
    segment.packedBytes = bytes
  }

  private func failed(_ segment: Segment, _ failure: CommitFailure) {
    switch failure {
    case .sync(let failure):
      isStopped = true
      onFailedSync(failure)
    case .write(let failure):
      logger.warning(
        "a segment stays as it is: it could not be packed",
        ["segment": .string(segment.path), "reason": .string(failure.description)])
    }
  }
}
