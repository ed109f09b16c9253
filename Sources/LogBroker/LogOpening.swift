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
    /// When the clock was last believed.
    let clock: ClockGuard.Anchor?
  }

  let storage: any LoopStorage
  let dataDirectory: String
  let partitions: Int
  let partitionCounts: [Topic: Int]
  let topics: [Topic: TopicSettings]
  let durabilityFloor: Durability
  let key: LogKey?
  let limits: LogLimits
  let metrics: LogMetrics
  let logger: Logger

  func run() throws(LogBrokerError) -> Opened {
    let lock = try takeLock()
    do throws(LogBrokerError) {
      return try open(lock)
    } catch {
      lock.release()
      throw error
    }
  }

  private func open(_ lock: any StorageLock) throws(LogBrokerError) -> Opened {
    do throws(LogBrokerError) {
      return try openAndRecover(lock)
    } catch {
      // Files that are only kept for new segments are room.
      guard case .diskFull = error,
        SegmentFiles.dropRecycled(of: storage, slots: limits.recycledFilesMax)
      else { throw error }
      return try openAndRecover(lock)
    }
  }

  private func openAndRecover(_ lock: any StorageLock) throws(LogBrokerError) -> Opened {
    let catalog = try openCatalog()
    guard catalog.partitions == partitions else {
      throw .partitionCountDiffers(configured: partitions, stored: catalog.partitions)
    }
    return try recover(lock, catalog)
  }

  private func takeLock() throws(LogBrokerError) -> any StorageLock {
    do throws(StorageFailure) {
      try storage.makeDirectory("")
      return try storage.lock("lock")
    } catch {
      switch error.kind {
      case .locked: throw .locked(path: dataDirectory)
      case .notFound: throw .notWritable(path: dataDirectory, reason: error.description)
      default: throw failure(error)
      }
    }
  }

  // MARK: Catalog

  private func openCatalog() throws(LogBrokerError) -> Catalog {
    guard var catalog = try LogImage.catalog(storage) else {
      if try LogImage.hasRecords(storage) {
        throw .damaged(file: Catalog.path, reason: "it is missing beside a log with records")
      }
      return try createLog()
    }
    let isOlder = catalog.addMissing()
    let isLarger = catalog.add(partitionCounts)
    let isNewlyEnciphered = try catalog.adopt(key)
    if catalog.adopt(topics) || isOlder || isLarger || isNewlyEnciphered { try write(catalog) }
    return catalog
  }

  /// The catalog comes last: without it there is no log, and creating one begins anew.
  private func createLog() throws(LogBrokerError) -> Catalog {
    precondition(
      (1...Catalog.partitionsMax).contains(partitions) && partitions & (partitions - 1) == 0,
      "the partition count is a power of two")
    try attempt { () throws(StorageFailure) in
      try storage.makeDirectory("log")
      for index in 0..<2 {
        let file = try storage.open(Journal.path(index), .create)
        defer { file.close() }
        try file.fill(from: 0, to: limits.journalBytes)
        // Else the first commit to each of them would wait until all of that is written.
        try file.sync()
      }
      try storage.replace(Checkpoint.path, in: "log", with: Checkpoint().encoded)
      try storage.syncDirectory("")
    }
    var catalog = Catalog(partitions: partitions)
    _ = catalog.add(partitionCounts)
    catalog.adopt(topics)
    catalog.journalBytes = [limits.journalBytes, limits.journalBytes]
    _ = try catalog.adopt(key)
    try write(catalog)
    return catalog
  }

  private func write(_ catalog: Catalog) throws(LogBrokerError) {
    try attempt { () throws(StorageFailure) in
      try storage.replace(Catalog.path, in: "log", with: catalog.encoded)
    }
  }

  // MARK: Recovery

  private func recover(
    _ lock: any StorageLock, _ catalog: Catalog
  ) throws(LogBrokerError) -> Opened {
    // The last process may have ended between replacing the checkpoint and making that durable.
    // From here on the journal it released may be written over.
    try attempt { () throws(StorageFailure) in try storage.syncDirectory("log") }
    let checkpoint = try LogImage.checkpoint(storage)
    let journals = try LogImage.readJournals(storage, released: checkpoint.released)
    let image = try LogImage.read(
      storage, catalog, checkpoint, journals: journals, key: key,
      durabilityFloor: durabilityFloor,
      windowBytes: limits.directWindowBytes, isSyncing: false
    ) { log, reason in
      metrics.reportDamage(log, reason, logger)
    }
    for short in image.journalDamage {
      logger.error(
        "a journal was cut: acknowledged records at its end may be lost",
        ["file": .string(Journal.path(short.file)), "reason": .string(short.reason)])
    }
    var files: [any LoopFile] = []
    var capacity: [Int] = []
    for index in 0..<2 {
      let (file, size) = try openJournal(index)
      files.append(file)
      capacity.append(size)
    }
    try note(files, capacity, in: catalog)
    if let last = image.journal.unsynced {
      // The crash, or a failed sync, may have come between this write and its sync.
      let bytes = image.journalBytes[last.file].bytes.slice(last.range)
      try attempt { () throws(StorageFailure) in
        try files[last.file].write(at: last.range.lowerBound, UnsafeRawBufferPointer(bytes))
        try files[last.file].sync()
      }
    }
    for log in image.table.all { try settleFound(log) }
    report(image.journal)
    for log in image.table.all { skipReserved(log) }
    for log in image.table.all where log.deduplication != nil { restoreWindow(log, image) }
    for path in checkpoint.removed { try? storage.remove(path) }
    let journal = Journal(
      files: files, capacity: capacity, bytesMin: limits.journalBytes,
      state: image.journal.state, released: image.released)
    return Opened(
      lock: lock, table: image.table, offsets: image.offsets, journal: journal,
      clock: checkpoint.clock)
  }

  /// What was written directly and no checkpoint has is written once more, where it stands, and
  /// synced: the crash may have come before the sync, or that failed. Takes no room on the disk.
  private func settleFound(_ log: PartitionLog) throws(LogBrokerError) {
    if let last = log.segments.last, last.isRecorded, last.isNew, last.size == 0, last.id != 0 {
      // Its beginning is on the journal, but it has no file: nothing came of it. What comes next
      // must not stand before where it was said to begin.
      log.segments.removeLast()
      log.segments.last?.isClosed = true
    }
    let unnamed = log.segments.filter { $0.isRecorded && !$0.isNamed }
    let found = log.tail.filter { $0.isDirect }
    if unnamed.isEmpty, found.isEmpty { return }
    try attempt { () throws(StorageFailure) in
      try rewrite(found)
      let topic = log.target.topic
      for directory in ["log", "log/\(topic.stream)", "log/\(topic.path)", log.directory] {
        try storage.syncDirectory(directory)
      }
    }
    for segment in unnamed { segment.isNamed = true }
  }

  private func rewrite(_ chunks: [TailChunk]) throws(StorageFailure) {
    var open: (segment: Segment, file: any StorageFile)?
    for chunk in chunks {
      guard let (segment, position) = chunk.place else { continue }
      if open?.segment !== segment {
        try open?.file.sync()
        open?.file.close()
        open = (segment, try storage.open(segment.path, .write))
      }
      // With the padding: a segment is as long as its blocks, and a crash may have cut that off.
      try open?.file.write(at: position, chunk.blocks)
    }
    try open?.file.sync()
    open?.file.close()
  }

  /// After a power loss a partition goes on above what may have been acknowledged and lost.
  private func skipReserved(_ log: PartitionLog) {
    guard let held = log.reservation, held.boot != storage.bootID else { return }
    log.reservation = nil
    guard held.end > log.endOffset else { return }
    metrics.offsetGaps.add()
    logger.warning(
      "the machine was started anew: offsets that may have been acknowledged and lost are skipped",
      [
        "topic": .string(log.target.topic.path), "partition": .int(Int64(log.target.partition)),
        "from": .int(Int64(clamping: log.endOffset)), "to": .int(Int64(clamping: held.end)),
      ])
    log.leaveGap(upTo: held.end, isKnown: true)
  }

  /// Reads back the message ids that a deduplication window remembers. Where the partition is
  /// damaged there are none to be had.
  private func restoreWindow(_ log: PartitionLog, _ image: LogImage) {
    let reader = OfflineLog(image, storage: storage, dataDirectory: dataDirectory)
    var start = PollStart.last
    var count = LogLimits.deduplicationIDsMax
    while true {
      let page = try? reader.poll(
        PollRequest(log.target, from: start, countMax: count, bytesMax: 1 << 20))
      guard let page, let last = page.records.last else { return }
      for record in page.records {
        log.deduplication?.restore(
          record.id, offset: record.offset,
          time: UInt64(clamping: record.appendTime.microseconds))
      }
      start = .offset(last.offset + 1)
      count = 1_024
    }
  }

  private func openJournal(_ index: Int) throws(LogBrokerError) -> (any LoopFile, Int) {
    try attempt { () throws(StorageFailure) in
      let file = try storage.openLoopFile(Journal.path(index), .write)
      let size = try file.size()
      if size < limits.journalBytes {
        // A larger size is wanted now.
        try file.fill(from: size, to: limits.journalBytes)
        try file.sync()
      }
      return (file, max(size, limits.journalBytes))
    }
  }

  /// Says in the catalog how long the journals are, so that it is seen when one was cut.
  private func note(
    _ files: [any LoopFile], _ sizes: [Int], in catalog: Catalog
  ) throws(LogBrokerError) {
    guard catalog.journalBytes != sizes else { return }
    // They may have grown in a process that was killed: a power loss must not make them shorter
    // than the catalog says.
    try attempt { () throws(StorageFailure) in for file in files { try file.sync() } }
    var catalog = catalog
    catalog.journalBytes = sizes
    do throws(LogBrokerError) {
      try write(catalog)
    } catch .diskFull {
      // The next start comes to it; until then less of a cut is seen.
    }
  }

  private func report(_ outcome: JournalRecovery.Outcome) {
    metrics.tornTails.add(outcome.tornTails)
    if outcome.tornTails > 0 {
      logger.warning("the write that a crash cut off, never acknowledged, was dropped")
    }
    if outcome.groups > 0 {
      logger.info("journal replayed", ["groups": .int(Int64(outcome.groups))])
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
