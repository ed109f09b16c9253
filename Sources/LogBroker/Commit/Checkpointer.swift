import Base
import Events

/// Makes the segment files durable and says so in the checkpoint, so that a journal file can be
/// written over. One runs at a time; a failed one leaves the journal as it is and can be tried
/// again, unless a sync failed.
final class Checkpointer {
  private let storage: any LoopStorage
  private let files: SegmentFiles
  private let flusher: SegmentFlusher
  private let table: PartitionTable
  private let metrics: LogMetrics
  private(set) var isRunning = false
  /// Segments that the checkpoint being written no longer names.
  private var doomed: [Segment] = []
  /// Other files likewise.
  private var stalePaths: [String] = []

  init(
    storage: any LoopStorage, files: SegmentFiles, flusher: SegmentFlusher,
    table: PartitionTable, metrics: LogMetrics
  ) {
    self.storage = storage
    self.files = files
    self.flusher = flusher
    self.table = table
    self.metrics = metrics
  }

  typealias Completion = (Result<Void, CommitFailure>) -> Void

  /// Everything committed so far goes to the segments; then journals up to `generation` may be
  /// released. After one that `isFinal` nothing is written any more. `offsets` gives the consumer
  /// groups' offsets as they are then.
  func run(
    releasing generation: UInt64, isFinal: Bool, offsets: @escaping () -> GroupOffsets,
    clock: @escaping () -> ClockGuard.Anchor?,
    completion: @escaping Completion
  ) {
    precondition(!isRunning, "one checkpoint runs at a time")
    isRunning = true
    let finish: Completion = { [self] result in
      guard case .success = result else {
        isRunning = false
        return completion(result)
      }
      removeDoomed { [self] in
        isRunning = false
        completion(result)
      }
    }
    let sweep = Sweep(table.all.filter { $0.needsCheckpoint }) { [self] log, done in
      settle(log, done)
    }
    sweep.start { [self] result in
      guard case .success = result else { return finish(result) }
      syncDirectories { [self] result in
        guard case .success = result else { return finish(result) }
        var checkpoint = snapshot(isFinal, offsets())
        checkpoint.released = generation
        checkpoint.clock = clock()
        checkpoint.removed = doomed.map(\.path) + stalePaths
        save(checkpoint.encoded, finish)
      }
    }
  }

  // MARK: Partitions

  /// A segment and how much of it a sync is to cover.
  private struct Part {
    var segment: Segment
    var size: Int
  }

  /// Flushes one partition and syncs its files. Sizes and end are taken at one moment: the
  /// checkpoint must not name bytes of records that it does not count.
  private func settle(_ log: PartitionLog, _ completion: @escaping Completion) {
    flusher.flush(log, isSettling: true) { [self] result in
      if case .failure(let failure) = result { return completion(.failure(failure)) }
      let end = log.flushedEnd
      let time = log.flushedTime
      let chain = log.flushedChain
      let parts = log.segments.filter { $0.isDirty }.map { Part(segment: $0, size: $0.size) }
      sync(parts[...]) { result in
        if case .success = result {
          for part in parts { part.segment.syncedSize = part.size }
          // A cut may have come further meanwhile: what it has taken away needs no sync.
          guard end > log.syncedEnd else { return completion(result) }
          log.syncedEnd = end
          log.syncedTime = time
          log.syncedChain = chain
        }
        completion(result)
      }
    }
  }

  private func sync(_ parts: ArraySlice<Part>, _ completion: @escaping Completion) {
    guard let part = parts.first else { return completion(.success(())) }
    files.open(part.segment) { [self] opened in
      switch opened {
      case .failure(let failure): completion(.failure(.write(failure)))
      case .success(let file):
        file.settle { [self] result in
          if case .failure(let failure) = result { return completion(.failure(.sync(failure))) }
          sync(parts.dropFirst(), completion)
        }
      }
    }
  }

  // MARK: Segments that were cut off

  private func removeDoomed(_ completion: @escaping () -> Void) {
    if let path = stalePaths.popLast() {
      return storage.remove(path) { [self] _ in removeDoomed(completion) }
    }
    guard let segment = doomed.popLast() else { return completion() }
    metrics.deletedBytes.add(segment.size)
    files.remove(segment) { [self] in removeDoomed(completion) }
  }

  // MARK: Directories and the checkpoint itself

  private func syncDirectories(_ completion: @escaping Completion) {
    flusher.directories.sync(completion)
  }

  private func save(_ bytes: [UInt8], _ completion: @escaping Completion) {
    let memory = AlignedBuffer(capacity: bytes.count)
    memory.bytes.copyBytes(from: bytes)
    storage.openFile(Checkpoint.path + ".tmp", .create, isDirect: false) { [self] opened in
      switch opened {
      case .failure(let failure): completion(.failure(.write(failure)))
      case .success(let file): save(memory, to: file, completion)
      }
    }
  }

  private func save(
    _ memory: AlignedBuffer, to file: any LoopFile, _ completion: @escaping Completion
  ) {
    file.write(at: 0, UnsafeRawBufferPointer(memory.bytes)) { [self] result in
      withExtendedLifetime(memory) {}
      if case .failure(let failure) = result {
        file.close()
        return completion(.failure(.write(failure)))
      }
      file.sync { [self] result in
        file.close()
        if case .failure(let failure) = result { return completion(.failure(.sync(failure))) }
        publish(completion)
      }
    }
  }

  private func publish(_ completion: @escaping Completion) {
    storage.rename(Checkpoint.path + ".tmp", to: Checkpoint.path) { [self] result in
      if case .failure(let failure) = result { return completion(.failure(.write(failure))) }
      storage.syncDirectory("log") { [self] result in
        if case .failure(let failure) = result {
          return completion(.failure(.ofDirectory(failure)))
        }
        metrics.checkpoints.add()
        completion(.success(()))
      }
    }
  }

  private func snapshot(_ isFinal: Bool, _ offsets: GroupOffsets) -> Checkpoint {
    var checkpoint = Checkpoint()
    for log in table.all where log.isWorthSaving {
      doomed += log.takeCutSegments()
      stalePaths += log.takeStalePaths()
      checkpoint.partitions.append(
        .init(
          topic: log.topicNumber, partition: UInt32(log.target.partition),
          start: log.firstOffset, end: log.syncedEnd, time: log.syncedTime,
          chain: log.syncedChain, segments: Self.segments(of: log), gaps: log.gaps,
          reservation: isFinal ? nil : log.reservation))
    }
    for (key, offset) in offsets.byKey {
      checkpoint.offsets.append(
        .init(topic: key.topic, partition: key.partition, group: key.group, offset: offset))
    }
    return checkpoint
  }

  private static func segments(of log: PartitionLog) -> [Checkpoint.Segment] {
    let settled = log.segments.filter { $0.syncedSize > 0 || $0.isSettled }.map {
      Checkpoint.Segment(
        base: $0.base, size: $0.syncedSize, id: $0.id, firstTime: $0.firstTime,
        openedAt: $0.openedAt, writtenAt: $0.writtenAt, packedBytes: $0.packedBytes)
    }
    guard log.damage != nil else { return settled }
    // They show that something is missing before them: the next start has to see it, too.
    let unreached = (log.announced + log.unreached).filter { record in
      record.base > log.syncedEnd && !settled.contains { $0.base >= record.base }
    }
    return settled
      + unreached.sorted { $0.base < $1.base }.map {
        Checkpoint.Segment(base: $0.base, size: 0, id: $0.id)
      }
  }
}
