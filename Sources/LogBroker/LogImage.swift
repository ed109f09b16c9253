import Base
import Events
import Iggy

/// What a data directory holds, as far as it counts: the checkpoint, and the journal replayed over
/// it into memory. Reading one changes nothing on disk.
struct LogImage {
  var table: PartitionTable
  var offsets = GroupOffsets()
  /// Journal generations up to this are in the segments.
  var released: UInt64
  /// What the journals were found to be.
  var journal = JournalRecovery.Outcome()
  /// What is wrong with the journals: they are shorter than they were made, or, when what is whole was
  /// to be salvaged, anything.
  var journalDamage: [JournalRecovery.Damage] = []
  /// What was read of the journal files.
  var journalBytes: [AlignedBuffer] = []
  private let onDamage: (PartitionLog, String) -> Void
  private var finder: DirectFinder

  /// Replays `journals` over `checkpoint`.
  ///
  /// - Parameters:
  ///   - key: what the log is enciphered with, where it is.
  ///   - windowBytes: of direct writes that may have been under way at once.
  ///   - isSyncing: what was written directly, perhaps just now by a running node, is synced before
  ///     it is shown.
  ///   - isSalvaging: what is whole behind what is damaged is taken in, too, behind a gap.
  ///   - onDamage: hears of partitions that are found damaged, once each.
  static func read(
    _ storage: any Storage, _ catalog: Catalog, _ checkpoint: Checkpoint,
    journals: [AlignedBuffer], key: LogKey?, durabilityFloor: Durability = .replicated,
    windowBytes: Int, isSyncing: Bool, isSalvaging: Bool = false,
    onDamage: @escaping (PartitionLog, String) -> Void
  ) throws(LogBrokerError) -> LogImage {
    try catalog.check(key)
    var image = LogImage(
      table: PartitionTable(
        catalog, durabilityFloor: durabilityFloor, cipher: key.map { BatchCipher($0) }),
      released: checkpoint.released, onDamage: onDamage,
      finder: DirectFinder(storage: storage, windowBytes: windowBytes, isSyncing: isSyncing))
    try image.restore(checkpoint, storage)
    image.journalBytes = journals
    image.journalDamage = try shortJournals(storage, catalog)
    let recovery = JournalRecovery(
      files: journals.map { UnsafeRawBufferPointer($0.bytes) }, released: checkpoint.released,
      isSalvaging: isSalvaging)
    image.journal = try recovery.run { (header, body, isWhole) throws(LogBrokerError) in
      try image.apply(header, body, isWhole)
    }
    image.journalDamage += image.journal.damage
    for log in image.table.all where log.mayHaveDirects {
      try image.find(log, upTo: .max)
      try image.lookBehind(log, isSalvaging: isSalvaging)
    }
    image.finder.close()
    return image
  }

  static func checkpoint(_ storage: any Storage) throws(LogBrokerError) -> Checkpoint {
    guard let saved = try contents(of: Checkpoint.path, storage) else {
      throw .damaged(file: Checkpoint.path, reason: "it is missing")
    }
    return try Checkpoint(saved)
  }

  /// The catalog, with this release's topics added; nil when there is no log.
  static func catalog(_ storage: any Storage) throws(LogBrokerError) -> Catalog? {
    guard let bytes = try contents(of: Catalog.path, storage) else { return nil }
    return try Catalog(bytes)
  }

  /// Whether anything was ever committed: what a creation that was cut off leaves behind has no
  /// catalog either, and may be made anew; this may not.
  static func hasRecords(_ storage: any Storage) throws(LogBrokerError) -> Bool {
    if let saved = try contents(of: Checkpoint.path, storage), try Checkpoint(saved) != Checkpoint()
    {
      return true
    }
    for index in 0..<2 {
      let head = try head(ofJournal: index, storage)
      if JournalHeader.read(UnsafeRawBufferPointer(head.bytes)) != .none { return true }
    }
    return false
  }

  /// Its first block, zeros without the file.
  private static func head(
    ofJournal index: Int, _ storage: any Storage
  ) throws(LogBrokerError) -> AlignedBuffer {
    do throws(StorageFailure) {
      let file = try storage.open(Journal.path(index), .read)
      defer { file.close() }
      return try read(file, LogLimits.blockBytes)
    } catch {
      guard error.kind == .notFound else { throw .failed("the journal cannot be read: \(error)") }
      let none = AlignedBuffer(capacity: LogLimits.blockBytes)
      none.bytes.initializeMemory(as: UInt8.self, repeating: 0)
      return none
    }
  }

  /// Reads the journal files. Of one with nothing after generation `released` the first block will
  /// do. One that is not there is empty for who `isSalvaging`.
  static func readJournals(
    _ storage: any Storage, released: UInt64 = 0, isSalvaging: Bool = false
  ) throws(LogBrokerError) -> [AlignedBuffer] {
    [
      try readJournal(0, storage, released, isSalvaging),
      try readJournal(1, storage, released, isSalvaging),
    ]
  }

  /// Journals that are gone, or shorter than they were made: no crash does that.
  private static func shortJournals(
    _ storage: any Storage, _ catalog: Catalog
  ) throws(LogBrokerError) -> [JournalRecovery.Damage] {
    var short: [JournalRecovery.Damage] = []
    for index in 0..<2 {
      let least = index < catalog.journalBytes.count ? catalog.journalBytes[index] : 0
      do throws(StorageFailure) {
        let file = try storage.open(Journal.path(index), .read)
        defer { file.close() }
        let size = try file.size()
        if size >= least { continue }
        short.append(.init(file: index, reason: "it has \(size) bytes of \(least)"))
      } catch {
        guard error.kind == .notFound else { throw .failed("the journal cannot be read: \(error)") }
        short.append(.init(file: index, reason: error.description))
      }
    }
    return short
  }

  private init(
    table: PartitionTable, released: UInt64, onDamage: @escaping (PartitionLog, String) -> Void,
    finder: DirectFinder
  ) {
    self.finder = finder
    self.table = table
    self.released = released
    self.onDamage = onDamage
  }

  private func markDamaged(_ log: PartitionLog, _ reason: String) {
    guard log.damage == nil else { return }
    log.damage = reason
    log.closeSegments()
    onDamage(log, reason)
  }

  private static func contents(
    of path: String, _ storage: any Storage
  ) throws(LogBrokerError) -> [UInt8]? {
    do throws(StorageFailure) {
      return try storage.contents(of: path)
    } catch {
      throw .failed("the log cannot be read: \(error)")
    }
  }
}

// MARK: - Checkpoint

extension LogImage {
  private mutating func restore(
    _ checkpoint: Checkpoint, _ storage: any Storage
  ) throws(LogBrokerError) {
    for saved in checkpoint.partitions {
      guard let log = table.log(number: saved.topic, partition: saved.partition) else {
        throw .damaged(file: Checkpoint.path, reason: "a partition is not in the catalog")
      }
      log.restore(saved)
      for segment in log.segments { try check(segment, of: log, storage) }
    }
    for saved in checkpoint.offsets {
      offsets.raise(
        .init(topic: saved.topic, partition: saved.partition, group: saved.group),
        to: saved.offset)
    }
  }

  /// A segment that is shorter than what was synced to it: no crash does that.
  private func check(
    _ segment: Segment, of log: PartitionLog, _ storage: any Storage
  ) throws(LogBrokerError) {
    var size = 0
    do throws(StorageFailure) {
      let file = try storage.openSegment(segment)
      defer { file.close() }
      size = try file.size()
    } catch {
      if error.kind != .notFound { throw .failed("a segment cannot be read: \(error)") }
    }
    guard size < segment.size else { return }
    segment.isDamaged = true
    segment.needsTruncation = false
    markDamaged(log, "\(segment.path) has \(size) bytes of \(segment.size)")
  }
}

// MARK: - Journal

extension LogImage {
  private static func readJournal(
    _ index: Int, _ storage: any Storage, _ released: UInt64, _ isSalvaging: Bool
  ) throws(LogBrokerError) -> AlignedBuffer {
    let path = Journal.path(index)
    do throws(StorageFailure) {
      let file = try storage.open(path, .read)
      defer { file.close() }
      let first = try read(file, min(LogLimits.blockBytes, try file.size()))
      if case .valid(let header) = JournalHeader.read(UnsafeRawBufferPointer(first.bytes)),
        header.generation <= released
      {
        return first
      }
      // Whole blocks: the power may have gone before all of a group's padding was in the file, and
      // the next group begins behind that all the same.
      return try read(file, GroupWriter.roundedToBlock(try file.size()))
    } catch {
      guard error.kind == .notFound else { throw .failed("the journal cannot be read: \(error)") }
      if isSalvaging { return try head(ofJournal: index, storage) }
      throw .damaged(file: path, reason: error.description)
    }
  }

  private static func read(
    _ file: any StorageFile, _ length: Int
  ) throws(StorageFailure) -> AlignedBuffer {
    let buffer = AlignedBuffer(capacity: length)
    let count = try file.read(at: 0, into: buffer.bytes)
    buffer.bytes.slice(count..<length).initializeMemory(as: UInt8.self, repeating: 0)
    return buffer
  }

  /// Applies one frame of the journal; frames that are in a segment already change nothing.
  private mutating func apply(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ isWhole: Bool
  ) throws(LogBrokerError) {
    guard let log = table.log(number: header.topic, partition: header.partition) else {
      throw .damaged(file: "the journal", reason: "a frame's partition is not in the catalog")
    }
    guard isWhole else { return markDamaged(log, "its frame in the journal is not what it was") }
    switch header.kind {
    case .batch: try applyBatch(header, body, log)
    case .segment:
      guard let record = SegmentRecord(body) else {
        return markDamaged(log, "a frame of the journal names no segment")
      }
      try find(log, upTo: .max)
      log.knownEnd = max(log.knownEnd, record.settled)
      finder.begin(record, of: log)
    case .reservation:
      guard let reservation = OffsetReservation(body) else {
        return markDamaged(log, "a frame of the journal holds no reservation")
      }
      log.reservation = reservation
      // A start after a power loss went on there.
      try find(log, upTo: reservation.start)
      if reservation.start > log.endOffset {
        log.leaveGap(upTo: reservation.start, isKnown: true)
      }
    case .cut:
      guard body.count == 8 else {
        return markDamaged(log, "a frame of the journal holds no first offset")
      }
      let offset: UInt64 = body.littleEndian(at: 0)
      try find(log, upTo: offset)
      // All of it was there: what is gone by now is not given anew.
      if offset > log.endOffset { log.leaveGap(upTo: offset) }
      log.cut(to: offset)
    case .groupOffset, .rewind:
      guard var offset = GroupOffset(body) else {
        return markDamaged(log, "a frame of the journal holds no offset")
      }
      offset.isRewind = header.kind == .rewind
      offsets.apply(offset, log.offsetKey(group: offset.group))
    }
  }

  /// Adds what was written directly next, as far as there is something before `base`.
  private mutating func find(
    _ log: PartitionLog, upTo base: UInt64
  ) throws(LogBrokerError) {
    do throws(StorageFailure) {
      try finder.find(log, upTo: base)
    } catch {
      throw .failed("a segment cannot be read: \(error)")
    }
  }

  private mutating func lookBehind(
    _ log: PartitionLog, isSalvaging: Bool
  ) throws(LogBrokerError) {
    do throws(StorageFailure) {
      if let loss = try finder.loss(behind: log) {
        markDamaged(log, loss.reason)
        if isSalvaging { try finder.salvage(loss, of: log) }
        // What was given once is not given again.
        if loss.end > log.endOffset { log.leaveGap(upTo: loss.end) }
      }
      guard log.knownEnd > log.endOffset else { return }
      markDamaged(log, "offsets \(log.endOffset) to \(log.knownEnd - 1) are missing")
      // Nothing else that is left would tell the next start.
      log.leaveGap(upTo: log.knownEnd, isKnown: !isSalvaging)
    } catch {
      throw .failed("a segment cannot be read: \(error)")
    }
  }

  private mutating func applyBatch(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ log: PartitionLog
  ) throws(LogBrokerError) {
    let frame = UnsafeRawBufferPointer(
      start: body.baseAddress! - FrameHeader.length, count: header.frameLength)
    let plain: SharedBytes?
    do throws(BatchCipher.Problem) { plain = try log.deciphered(frame) } catch {
      return markDamaged(log, "\(error)")
    }
    defer { withExtendedLifetime(plain) {} }
    let readable = plain?.bytes ?? body
    guard let batch = try? BatchView(readable), (try? batch.forEach { _ in true }) != nil,
      batch.bytes.count == body.count,
      !batch.header.baseOffset.addingReportingOverflow(UInt64(batch.header.messageCount)).overflow
    else { return markDamaged(log, "a frame of the journal holds no batch") }
    let base = batch.header.baseOffset
    if base > log.endOffset { try find(log, upTo: base) }
    if base < log.endOffset { return }
    if base > log.endOffset {
      markDamaged(log, "offsets \(log.endOffset) to \(base - 1) are missing")
      log.leaveGap(upTo: base)
    }
    log.append(
      frame, base: base, count: batch.header.messageCount, time: batch.header.baseTimestamp)
  }
}

extension PartitionLog {
  /// Whether there may be frames that were written directly and that no checkpoint has.
  fileprivate var mayHaveDirects: Bool {
    segments.last?.id ?? 0 != 0 || !announced.isEmpty || !unreached.isEmpty
  }
}
