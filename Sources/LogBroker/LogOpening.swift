import Base
import Events
import Iggy

/// Opens a log: blocking, and before the loop has anything else to do. What it leaves behind is a
/// state in which every record that was ever acknowledged can be read, and is durable.
struct LogOpening {
  /// What an open log consists of.
  struct Opened {
    let lock: any StorageLock
    let table: PartitionTable
    let offsets: GroupOffsets
    let journal: Journal
  }

  let storage: any LoopStorage
  let dataDirectory: String
  let partitions: Int
  let limits: LogLimits
  let metrics: LogMetrics
  let logger: Logger

  func run() throws(LogBrokerError) -> Opened {
    let lock = try takeLock()
    do throws(LogBrokerError) {
      let catalog: Catalog
      if let stored = try readCatalog() { catalog = stored } else { catalog = try createLog() }
      guard catalog.partitions == partitions else {
        throw .partitionCountDiffers(configured: partitions, stored: catalog.partitions)
      }
      return try recover(lock, catalog)
    } catch {
      lock.release()
      throw error
    }
  }

  // MARK: Directory and catalog

  private func takeLock() throws(LogBrokerError) -> any StorageLock {
    do throws(StorageFailure) {
      try storage.makeDirectory("")
      return try storage.lock("lock")
    } catch {
      switch error.kind {
      case .locked: throw .locked(path: dataDirectory)
      case .denied, .notFound:
        throw .notWritable(path: dataDirectory, reason: error.description)
      default: throw failure(error)
      }
    }
  }

  private func readCatalog() throws(LogBrokerError) -> Catalog? {
    guard
      let bytes = try attempt({ () throws(StorageFailure) in
        try storage.contents(of: Catalog.path)
      })
    else { return nil }
    var catalog = try Catalog(bytes)
    if catalog.addMissing() { try write(catalog) }
    return catalog
  }

  /// The catalog comes last: without it there is no log, and creating one begins anew.
  private func createLog() throws(LogBrokerError) -> Catalog {
    try attempt { () throws(StorageFailure) in
      try storage.makeDirectory("log")
      let zeros = AlignedBuffer(capacity: min(1 << 20, limits.journalBytes))
      zeros.bytes.initializeMemory(as: UInt8.self, repeating: 0)
      for index in 0..<2 {
        let file = try storage.open(Journal.path(index), .create)
        defer { file.close() }
        // Written once, so that a commit's sync has no allocation to make durable with it.
        for offset in stride(from: 0, to: limits.journalBytes, by: zeros.bytes.count) {
          let count = min(zeros.bytes.count, limits.journalBytes - offset)
          try file.write(at: offset, UnsafeRawBufferPointer(zeros.bytes.slice(0..<count)))
        }
      }
      try storage.replace(Checkpoint.path, in: "log", with: Checkpoint().encoded)
    }
    let catalog = Catalog(partitions: partitions)
    try write(catalog)
    try attempt { () throws(StorageFailure) in try storage.syncDirectory("") }
    return catalog
  }

  private func write(_ catalog: Catalog) throws(LogBrokerError) {
    try attempt { () throws(StorageFailure) in
      try storage.replace(Catalog.path, in: "log", with: catalog.encoded)
    }
  }

  // MARK: Recovery

  private func recover(_ lock: any StorageLock, _ catalog: Catalog) throws(LogBrokerError)
    -> Opened
  {
    guard
      let saved = try attempt({ () throws(StorageFailure) in
        try storage.contents(of: Checkpoint.path)
      })
    else { throw .damaged(file: Checkpoint.path, reason: "it is missing") }
    let checkpoint = try Checkpoint(saved)
    let table = PartitionTable(catalog)
    var offsets = GroupOffsets()
    try restore(checkpoint, table, &offsets)
    let journal = try openJournal(table, &offsets, released: checkpoint.released)
    return Opened(lock: lock, table: table, offsets: offsets, journal: journal)
  }

  private func restore(
    _ checkpoint: Checkpoint, _ table: PartitionTable, _ offsets: inout GroupOffsets
  ) throws(LogBrokerError) {
    for saved in checkpoint.partitions {
      guard let log = table.log(number: saved.topic, partition: saved.partition) else {
        throw .damaged(file: Checkpoint.path, reason: "a partition is not in the catalog")
      }
      log.restore(saved)
      for segment in log.segments { try check(segment, of: log) }
    }
    for saved in checkpoint.offsets {
      offsets.raise(
        .init(topic: saved.topic, partition: saved.partition, group: saved.group),
        to: saved.offset)
    }
  }

  /// A segment that is shorter than what was synced to it: no crash does that.
  private func check(_ segment: Segment, of log: PartitionLog) throws(LogBrokerError) {
    var size = 0
    do throws(StorageFailure) {
      let file = try storage.open(segment.path, .read)
      defer { file.close() }
      size = try file.size()
    } catch {
      if error.kind != .notFound { throw failure(error) }
    }
    guard size < segment.size else { return }
    segment.isDamaged = true
    segment.needsTruncation = false
    markDamaged(log, "\(segment.path) has \(size) bytes of \(segment.size)")
  }

  private func markDamaged(_ log: PartitionLog, _ reason: String) {
    guard log.damage == nil else { return }
    log.damage = reason
    metrics.damages.add()
    logger.error(
      "partition damaged: it takes no records until it is repaired",
      [
        "topic": .string(log.target.topic.path), "partition": .int(Int64(log.target.partition)),
        "reason": .string(reason),
      ])
  }

  private func openJournal(
    _ table: PartitionTable, _ offsets: inout GroupOffsets, released: UInt64
  ) throws(LogBrokerError) -> Journal {
    var files: [any LoopFile] = []
    var buffers: [AlignedBuffer] = []
    for index in 0..<2 {
      let (file, buffer) = try readJournal(index)
      files.append(file)
      buffers.append(buffer)
    }
    let recovery = JournalRecovery(
      files: buffers.map { UnsafeRawBufferPointer($0.bytes) }, released: released)
    let outcome = try recovery.run { (header, body, isWhole) throws(LogBrokerError) in
      try apply(header, body, isWhole, table, &offsets)
    }
    if let last = outcome.last {
      let bytes = buffers[last.file].bytes.slice(last.range)
      try attempt { () throws(StorageFailure) in
        try files[last.file].write(at: last.range.lowerBound, UnsafeRawBufferPointer(bytes))
        try files[last.file].sync()
      }
    }
    report(outcome)
    return Journal(
      files: files, capacity: buffers.map(\.bytes.count), state: outcome.state,
      released: released)
  }

  private func readJournal(_ index: Int) throws(LogBrokerError) -> (any LoopFile, AlignedBuffer) {
    let path = Journal.path(index)
    do throws(StorageFailure) {
      let file = try storage.openLoopFile(path, .write)
      let size = try file.size()
      guard size >= 2 * LogLimits.blockBytes, size % LogLimits.blockBytes == 0 else {
        throw StorageFailure(.notFound, "it has \(size) bytes")
      }
      let buffer = AlignedBuffer(capacity: size)
      _ = try file.read(at: 0, into: buffer.bytes)
      return (file, buffer)
    } catch {
      if error.kind == .notFound { throw .damaged(file: path, reason: error.description) }
      throw failure(error)
    }
  }

  private func report(_ outcome: JournalRecovery.Outcome) {
    metrics.tornTails.add(outcome.tornTails)
    guard outcome.groups > 0 || outcome.tornTails > 0 else { return }
    logger.info(
      outcome.tornTails > 0
        ? "journal replayed; the write that the crash cut off, never acknowledged, was dropped"
        : "journal replayed",
      ["groups": .int(Int64(outcome.groups)), "torn": .int(Int64(outcome.tornTails))])
  }

  // MARK: Replay

  /// Applies one frame of the journal; frames that are in a segment already change nothing.
  private func apply(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ isWhole: Bool,
    _ table: PartitionTable, _ offsets: inout GroupOffsets
  ) throws(LogBrokerError) {
    guard let log = table.log(number: header.topic, partition: header.partition) else {
      throw .damaged(file: Journal.path(0), reason: "a frame's partition is not in the catalog")
    }
    guard isWhole else { return markDamaged(log, "its frame in the journal is not what it was") }
    switch header.kind {
    case .batch:
      guard let batch = try? BatchView(body), (try? batch.forEach { _ in true }) != nil,
        batch.bytes.count == body.count,
        let frame = body.baseAddress.map({ $0 - FrameHeader.length })
      else { return markDamaged(log, "a frame of the journal holds no batch") }
      let base = batch.header.baseOffset
      if base < log.endOffset { return }
      if base > log.endOffset {
        markDamaged(log, "offsets \(log.endOffset) to \(base - 1) are missing")
        log.leaveGap(upTo: base)
      }
      let whole = UnsafeRawBufferPointer(start: frame, count: header.frameLength)
      log.append(
        whole, base: base, count: batch.header.messageCount, time: batch.header.baseTimestamp)
    case .groupOffset:
      guard let offset = GroupOffset(body) else {
        return markDamaged(log, "a frame of the journal holds no offset")
      }
      offsets.raise(
        .init(topic: header.topic, partition: header.partition, group: offset.group),
        to: offset.offset)
    }
  }

  // MARK: Errors

  private func attempt<Value>(
    _ body: () throws(StorageFailure) -> Value
  ) throws(LogBrokerError) -> Value {
    do throws(StorageFailure) { return try body() } catch { throw failure(error) }
  }

  private func failure(_ failure: StorageFailure) -> LogBrokerError {
    switch failure.kind {
    case .diskFull: .diskFull(path: dataDirectory)
    case .denied: .notWritable(path: dataDirectory, reason: failure.description)
    default: .failed("the log in \(dataDirectory) does not open: \(failure)")
    }
  }
}
