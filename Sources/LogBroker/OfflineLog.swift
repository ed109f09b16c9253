import Base
package import Events

/// A log that is read without being opened: no lock, no writes, whether a node has the directory
/// or not. Shows what was durable at the moment of `refresh`.
package final class OfflineLog {
  private let storage: any Storage
  private let dataDirectory: String
  private let key: LogKey?
  private var image: LogImage

  /// How often reading is tried again when a running node wrote over what was being read.
  private static let attemptsMax = 20

  /// - Parameter key: what the log is enciphered with, where it is.
  package init(
    storage: any Storage, dataDirectory: String, key: LogKey? = nil
  ) throws(LogBrokerError) {
    self.storage = storage
    self.dataDirectory = dataDirectory
    self.key = key
    image = try Self.read(storage, dataDirectory, key)
  }

  /// What a log that is being opened has.
  init(_ image: LogImage, storage: any Storage, dataDirectory: String) {
    self.storage = storage
    self.dataDirectory = dataDirectory
    key = nil
    self.image = image
  }

  /// Looks again: records that were added since can be polled afterwards.
  package func refresh() throws(LogBrokerError) {
    image = try Self.read(storage, dataDirectory, key)
  }

  private static func read(
    _ storage: any Storage, _ dataDirectory: String, _ key: LogKey?
  ) throws(LogBrokerError) -> LogImage {
    guard var catalog = try LogImage.catalog(storage) else {
      throw .failed("there is no log in \(dataDirectory)")
    }
    catalog.addMissing()
    var last: [UInt32] = []
    for _ in 1..<attemptsMax {
      let journals = try LogImage.readJournals(storage)
      // What a node has written but not synced yet must not be shown before it is durable.
      try sync(storage)
      let sums = journals.map { crc32c(UnsafeRawBufferPointer($0.bytes)) }
      do throws(LogBrokerError) {
        // Journals first: what a later checkpoint lets a node write over, that checkpoint has.
        let checkpoint = try LogImage.checkpoint(storage)
        let image = try LogImage.read(
          storage, catalog, checkpoint, journals: journals, key: key,
          windowBytes: LogLimits().directWindowBytes, isSyncing: true
        ) {
          _, _ in
        }
        let isDamaged = image.table.all.contains { $0.damage != nil }
        if !isDamaged || sums == last { return image }
      } catch {
        if sums == last { throw error }
      }
      // Torn between two writes of a running node, perhaps: damage looks the same twice.
      last = sums
    }
    throw .failed("the log in \(dataDirectory) changes faster than it can be read; try again")
  }

  private static func sync(_ storage: any Storage) throws(LogBrokerError) {
    do throws(StorageFailure) {
      for index in 0..<2 {
        let file = try storage.open(Journal.path(index), .read)
        defer { file.close() }
        try file.sync()
      }
    } catch {
      throw .failed("the journal cannot be synced: \(error)")
    }
  }

  // MARK: State

  package func partitionCount(of topic: Topic) -> Int { image.table.count(of: topic) }

  package func endOffset(of target: TopicPartition) -> UInt64 {
    image.table.existing(target)?.endOffset ?? 0
  }

  package func firstOffset(of target: TopicPartition) -> UInt64 {
    image.table.existing(target)?.firstOffset ?? 0
  }

  package func status() -> [TopicStatus] { image.table.status() }

  package func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    image.table.existing(target).flatMap { image.offsets[$0.offsetKey(group: group)] }
  }

  // MARK: Reading

  /// Blocks. The same answers as a bus gives.
  package func poll(_ request: PollRequest) throws(BusError) -> PollResult {
    guard image.table.contains(request.target) else { throw .unknownPartition }
    do throws(BusError) {
      return try find(request)
    } catch {
      // A running node may have taken the segment away meanwhile.
      let before = image.table.log(request.target).firstOffset
      guard case .damaged = error, let newer = try? Self.read(storage, dataDirectory, key),
        newer.table.log(request.target).firstOffset > before
      else { throw error }
      image = newer
      return try find(request)
    }
  }

  private func find(_ request: PollRequest) throws(BusError) -> PollResult {
    let log = image.table.log(request.target)
    if let refusal = log.refusal(of: request) { throw refusal }
    let seek = log.seek(request)
    var collector = RecordCollector(
      seek: seek, of: log, countMax: log.isBeyondEnd(seek) ? 0 : request.countMax,
      bytesMax: request.bytesMax)
    if !collector.isFull, !log.isInMemory(seek) {
      let first =
        switch seek {
        case .offset(let offset): log.segments.lastIndex { $0.base <= offset } ?? 0
        case .time: 0
        }
      for segment in log.segments[first...] where collector.records.isEmpty {
        try collect(segment, of: log, &collector)
      }
      if !collector.records.isEmpty {
        return PollResult(records: collector.records, endOffset: log.endOffset)
      }
    }
    switch log.collect(collector) {
    case .success(let result): return result
    case .failure(let error): throw error
    }
  }

  /// Takes what the poll wants of one segment.
  private func collect(
    _ segment: Segment, of log: PartitionLog, _ collector: inout RecordCollector
  ) throws(BusError) {
    var scan = SegmentScan(log, segment, collector)
    var wanted = LogLimits.readBytes
    while scan.left > 0, !collector.isFull {
      wanted = min(max(wanted, LogLimits.readBytes), scan.left)
      let position = scan.position
      let (part, count) = try load(segment, at: position, wanted)
      let outcome = scan.take(part, count: count)
      collector = scan.collector
      switch outcome {
      case .enough: return
      case .more where count < wanted:
        throw .damaged("\(segment.path) ends at byte \(position + count)")
      case .more(let bytes): wanted = bytes
      case .damaged(let reason): throw .damaged(reason)
      }
    }
  }

  /// Reads up to `count` bytes; fewer where the file ends.
  private func load(
    _ segment: Segment, at position: Int, _ count: Int
  ) throws(BusError) -> (SharedBytes, Int) {
    do throws(StorageFailure) {
      let file = try storage.openSegment(segment)
      defer { file.close() }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
      let shared = SharedBytes(UnsafeRawBufferPointer(buffer)) { _ in buffer.deallocate() }
      return (shared, try file.read(at: position, into: buffer))
    } catch {
      if error.kind == .notFound { throw .damaged(error.description) }
      throw .unavailable(error.description)
    }
  }
}
