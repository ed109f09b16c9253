import Base
import Events

/// Moves a partition's records from memory into its segment file. They are durable in the journal
/// already; a checkpoint makes them durable here.
final class SegmentFlusher {
  private let storage: any LoopStorage
  private let files: SegmentFiles
  private let limits: LogLimits
  private let metrics: LogMetrics
  /// Directories that have got new entries since the last checkpoint.
  private(set) var unsyncedDirectories: Set<String> = []
  /// Hears that a segment has been filled.
  var onRoll: () -> Void = {}
  /// What is written now is stamped with this, µs.
  var stamp: () -> UInt64 = { 0 }

  init(
    storage: any LoopStorage, files: SegmentFiles, limits: LogLimits, metrics: LogMetrics
  ) {
    self.storage = storage
    self.files = files
    self.limits = limits
    self.metrics = metrics
  }

  func takeUnsyncedDirectories() -> Set<String> {
    defer { unsyncedDirectories = [] }
    return unsyncedDirectories
  }

  /// The sync of `directories` did not happen.
  func putBack(_ directories: Set<String>) { unsyncedDirectories.formUnion(directories) }

  /// Writes everything the partition has at this moment; `completion` may run inside the call when
  /// there is nothing to do.
  func flush(
    _ log: PartitionLog, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    guard log.flushedEnd < log.recordsEnd else { return completion(.success(())) }
    log.flushWaiters.append(.init(target: log.recordsEnd, completion: completion))
    if !log.isFlushing { step(log) }
  }

  private func step(_ log: PartitionLog) {
    guard let chunk = log.unflushedChunk, !log.flushWaiters.isEmpty else {
      log.isFlushing = false
      return
    }
    log.isFlushing = true
    let segment: Segment
    let file: any LoopFile
    do throws(StorageFailure) {
      segment = try writableSegment(log, chunk)
      file = try files.openForAppend(segment)
    } catch {
      return fail(log, error)
    }
    let end = chunk.used
    let bytes = UnsafeRawBufferPointer(rebasing: chunk.memory[chunk.flushed..<end])
    file.write(at: segment.size, bytes) { [self] result in
      if case .failure(let failure) = result { return fail(log, failure) }
      log.didFlush(chunk, upTo: end, stamp: stamp())
      metrics.flushes.add()
      metrics.flushedBytes.add(bytes.count)
      let done = log.flushWaiters.filter { $0.target <= log.flushedEnd }
      log.flushWaiters.removeAll { $0.target <= log.flushedEnd }
      for waiter in done { waiter.completion(.success(())) }
      step(log)
    }
  }

  private func fail(_ log: PartitionLog, _ failure: StorageFailure) {
    log.isFlushing = false
    let waiters = log.flushWaiters
    log.flushWaiters = []
    for waiter in waiters { waiter.completion(.failure(failure)) }
  }

  /// The last segment, or a new one when that is full, damaged or not there.
  private func writableSegment(
    _ log: PartitionLog, _ chunk: TailChunk
  ) throws(StorageFailure) -> Segment {
    if let last = log.segments.last {
      if !log.isFull(last, limits, stamp: stamp()) { return last }
      last.isClosed = true
      onRoll()
    }
    if log.segments.isEmpty {
      try storage.makeDirectory(log.directory)
      unsyncedDirectories.formUnion(["log", "log/\(log.target.topic.stream)"])
      unsyncedDirectories.insert("log/\(log.target.topic.path)")
    }
    let base = chunk.frames.first { $0.position >= chunk.flushed }!.base
    let segment = Segment(base: base, directory: log.directory, size: 0)
    segment.isNew = true
    _ = try files.open(segment)
    unsyncedDirectories.insert(log.directory)
    log.segments.append(segment)
    return segment
  }
}
