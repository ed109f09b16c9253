import Base
import Events

/// Moves a partition's records from memory into its segment file. They are durable in the journal
/// already; a checkpoint makes them durable here.
final class SegmentFlusher {
  private let storage: any LoopStorage
  private let files: SegmentFiles
  private let limits: LogLimits
  private let metrics: LogMetrics
  let directories: DirectorySyncs
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
    directories = DirectorySyncs(storage: storage)
  }

  /// Writes everything the partition has at this moment; `completion` may run inside the call when
  /// there is nothing to do.
  ///
  /// - Parameter isSettling: the last write syncs its file, too. What else was written to segments
  ///   and not synced stays dirty.
  func flush(
    _ log: PartitionLog, isSettling: Bool = false,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    guard log.flushedEnd < log.recordsEnd else { return completion(.success(())) }
    log.flushWaiters.append(
      .init(target: log.recordsEnd, isSettling: isSettling, completion: completion))
    if !log.isFlushing { step(log) }
  }

  private func step(_ log: PartitionLog) {
    guard let chunk = log.unflushedChunk, !log.flushWaiters.isEmpty else {
      log.isFlushing = false
      return
    }
    log.isFlushing = true
    let end = chunk.used
    openSegment(log, chunk) { [self] segment, result in
      let file: any LoopFile
      switch result {
      case .success(let opened): file = opened
      case .failure(let failure): return fail(log, .write(failure))
      }
      let bytes = UnsafeRawBufferPointer(rebasing: chunk.memory[chunk.flushed..<end])
      let isSettling =
        log.flushWaiters.contains { $0.isSettling } && log.unflushedBytes == bytes.count
      write(bytes, at: log.flushPosition(chunk, in: segment), to: file, isSettling) {
        [self] result in
        if case .failure(let failure) = result { return fail(log, failure) }
        log.didFlush(chunk, to: segment, upTo: end, stamp: stamp())
        if isSettling { segment.syncedSize = segment.size }
        metrics.flushes.add()
        metrics.flushedBytes.add(bytes.count)
        let done = log.flushWaiters.filter { $0.target <= log.flushedEnd }
        log.flushWaiters.removeAll { $0.target <= log.flushedEnd }
        for waiter in done { waiter.completion(.success(())) }
        step(log)
      }
    }
  }

  private func write(
    _ bytes: UnsafeRawBufferPointer, at position: Int, to file: any LoopFile, _ isSettling: Bool,
    _ completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    if isSettling { return file.settle(at: position, bytes, completion: completion) }
    file.write(at: position, bytes) { completion($0.mapError { .write($0) }) }
  }

  private func fail(_ log: PartitionLog, _ failure: CommitFailure) {
    log.isFlushing = false
    let waiters = log.flushWaiters
    log.flushWaiters = []
    for waiter in waiters { waiter.completion(.failure(failure)) }
  }

  private typealias Opened = (Segment, Result<any LoopFile, StorageFailure>) -> Void

  /// The last segment, or a new one when that is full, damaged or not there.
  private func openSegment(
    _ log: PartitionLog, _ chunk: TailChunk, _ body: @escaping Opened
  ) {
    if let placed = chunk.place?.segment { return open(placed, of: log) { body(placed, $0) } }
    if let last = log.segments.last {
      if !log.isFull(last, limits, stamp: stamp()) {
        return files.openForAppend(last) { body(last, $0) }
      }
      last.isClosed = true
      onRoll()
    }
    let base = chunk.frames.first { $0.position >= chunk.flushed }!.base
    let segment = Segment(base: base, directory: log.directory, size: 0)
    segment.isNew = true
    segment.chainBefore = log.flushedChain
    open(segment, of: log) { result in
      if case .success = result { log.add(segment) }
      body(segment, result)
    }
  }

  private func open(
    _ segment: Segment, of log: PartitionLog, _ body: @escaping SegmentFiles.Opened
  ) {
    guard segment.isNew else { return files.openForAppend(segment, body) }
    makeDirectory(of: log) { [self] result in
      if case .failure(let failure) = result { return body(.failure(failure)) }
      files.open(segment) { [self] result in
        // A sync that was under way may have come before the entry.
        directories.add(log.directory)
        body(result)
      }
    }
  }

  private func makeDirectory(
    of log: PartitionLog, _ completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    if log.hasDirectory { return completion(.success(())) }
    storage.makeDirectory(log.directory) { [self] result in
      if case .success = result {
        log.hasDirectory = true
        directories.add("log")
        directories.add("log/\(log.target.topic.stream)")
        directories.add("log/\(log.target.topic.path)")
      }
      completion(result)
    }
  }

  /// The last segment if `length` bytes may be written to it directly, or a new one for them and
  /// what follows, which begins with offset `base` behind a frame with the header checksum `chain`.
  /// All the partition has is in its segments.
  func directSegment(
    _ log: PartitionLog, end: Int, length: Int, base: UInt64, chain: UInt32, id: UInt64
  ) -> Segment {
    let bytesMax = log.settings.segmentBytes ?? limits.segmentBytesMax
    if let last = log.segments.last {
      if last.id != 0, !log.isFull(last, limits, stamp: stamp()),
        (last.isRecording && end + length <= bytesMax) || (end == 0 && last.base == base)
      {
        return last
      }
      last.isClosed = true
      onRoll()
    }
    let segment = Segment(base: base, directory: log.directory, size: 0, id: id)
    segment.isNew = true
    segment.chainBefore = chain
    log.segments.append(segment)
    return segment
  }

  /// Opens the segment for a direct write up to `end`, makes it when it is new.
  func openDirect(
    _ segment: Segment, of log: PartitionLog, end: Int, _ body: @escaping SegmentFiles.Opened
  ) {
    let bytes = room(for: end, of: log)
    guard segment.isNew else {
      if end > segment.roomBytes { files.makeRoom(bytes, in: segment) }
      return files.openDirect(segment, bytes: 0, body)
    }
    makeDirectory(of: log) { [self] result in
      if case .failure(let failure) = result { return body(.failure(failure)) }
      files.openDirect(segment, bytes: bytes) { [self] result in
        directories.add(log.directory)
        body(result)
      }
    }
  }
}

extension SegmentFlusher {
  /// How large a segment's file should be when it is written up to `end`: a whole segment where the
  /// partition has filled one already, and else four times what it holds. Many partitions may hold
  /// little.
  private func room(for end: Int, of log: PartitionLog) -> Int {
    let whole = max(log.settings.segmentBytes ?? limits.segmentBytesMax, end)
    let more = log.segments.count > 1 ? LogLimits.roomBytesMax : 3 * end
    return min(whole, end + min(more, LogLimits.roomBytesMax))
  }
}
