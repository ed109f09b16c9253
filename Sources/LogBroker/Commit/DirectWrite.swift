import Base
import Events
import Iggy

/// One batch on its way straight to its segment, from the moment it has its offsets.
final class DirectWrite {
  let batch: OutgoingBatch
  let segment: Segment
  /// In the segment: whole blocks.
  let range: Range<Int>
  let base: UInt64
  /// Append time, µs.
  let time: UInt64
  /// Header checksum of its frame.
  let checksum: UInt32
  /// Which of the partition's attempts it belongs to.
  let attempt: Int
  let completion: (Result<[UInt64], BusError>) -> Void
  /// Its segment has to be announced, once the file is there.
  var isToAnnounce = false
  var isOpened = false
  /// Written and synced.
  var isDurable = false

  init(
    _ batch: OutgoingBatch, _ segment: Segment, range: Range<Int>, base: UInt64, time: UInt64,
    checksum: UInt32, attempt: Int, completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    self.batch = batch
    self.segment = segment
    self.range = range
    self.base = base
    self.time = time
    self.checksum = checksum
    self.attempt = attempt
    self.completion = completion
  }
}

/// A partition's direct writes under way.
struct DirectQueue {
  /// By offset; acknowledged in this order.
  var writes: [DirectWrite] = []
  /// Writes of earlier attempts that the disk still has: what they write to is not written to again
  /// before they have ended.
  var given = 0
  /// Goes up when writes are given up.
  var attempt = 0

  var isEmpty: Bool { writes.isEmpty && given == 0 }
}

/// Writes big batches once, each straight to its segment with one sync, several at a time.
///
/// A batch is acknowledged when it and all of its partition before it are durable, and the segment
/// is: its directory entry synced, its beginning on the journal. Recovery finds it behind what the
/// checkpoint and the journal say of the partition: at the next block, with the segment's id, the
/// checksum of the frame before it, the next offset and a whole body, or not at all. So that this
/// never depends on what may be lost, nothing of a partition is in flight on the journal and
/// directly at the same time.
final class DirectCommits {
  private let files: SegmentFiles
  private let flusher: SegmentFlusher
  private let limits: LogLimits
  private let metrics: LogMetrics
  private var lastID: UInt64
  private var bytesUnderWay = 0
  /// Writes that are neither acknowledged nor refused, or that the disk still has.
  private(set) var underWay = 0
  /// Durable bytes since the last checkpoint began.
  var uncheckpointedBytes = 0
  /// Memory kept for readers at the end, oldest first.
  private var kept: [(log: PartitionLog, chunk: TailChunk)] = []
  private var keptBytes = 0

  /// Asks for a segment's beginning to be put on the journal; then `settled`.
  var record: (Segment, PartitionLog) -> Void = { _, _ in }
  /// Hears of failures; what was given up is handed back to be refused.
  var failed: (CommitFailure) -> Void = { _ in }
  /// Hears of a batch that can be read now.
  var applied: (PartitionLog) -> Void = { _ in }
  /// What to answer those that are given up.
  var refusal: () -> BusError = { .diskFull }

  /// - Parameter lastID: of segments there are.
  init(
    files: SegmentFiles, flusher: SegmentFlusher, limits: LogLimits, metrics: LogMetrics,
    lastID: UInt64
  ) {
    self.files = files
    self.flusher = flusher
    self.limits = limits
    self.metrics = metrics
    self.lastID = lastID
  }

  // MARK: Beginning

  /// Whether `length` bytes more may be under way, when `more` are about to be.
  func hasRoom(for length: Int, besides more: Int) -> Bool {
    bytesUnderWay + more == 0 || bytesUnderWay + more + length <= limits.directWindowBytes
  }

  /// Gives the batch its offsets and begins to write it.
  func begin(
    _ batch: OutgoingBatch, to log: PartitionLog, now: UInt64,
    completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    let last = log.directs.writes.last
    let base = log.mintedOffset
    let length = GroupWriter.roundedToBlock(batch.frameLength)
    let end =
      last?.range.upperBound ?? GroupWriter.roundedToBlock(log.segments.last?.size ?? 0)
    let time = max(now, last?.time ?? log.lastTime)
    lastID = max(now, lastID + 1)
    let chain = last?.checksum ?? log.chain
    let segment = flusher.directSegment(
      log, end: end, length: length, base: base, chain: chain, id: lastID)
    let start =
      last?.segment === segment
      ? end : GroupWriter.roundedToBlock(segment.size)
    batch.stamp(
      .init(partitionID: UInt64(log.target.partition), baseOffset: base, baseTimestamp: time))
    var header = FrameHeader(
      generation: segment.id, group: 0, kind: .batch, topic: log.topicNumber,
      partition: UInt32(log.target.partition), bodyLength: batch.bodyLength, index: 0)
    header.isDirect = true
    header.isLast = true
    header.previous = chain
    header.unsettled = UInt32(clamping: base - log.endOffset)
    let write = DirectWrite(
      batch, segment, range: start..<start + length, base: base, time: time,
      checksum: batch.frame(header, log.cipher), attempt: log.directs.attempt,
      completion: completion)
    log.directs.writes.append(write)
    log.mintedOffset = base + UInt64(batch.count)
    underWay += 1
    bytesUnderWay += length
    write.isToAnnounce = !segment.isRecorded && !segment.isRecording
    segment.isRecording = true
    flusher.openDirect(segment, of: log, end: start + length) { [self] in
      opened(write, of: log, $0)
    }
  }

  private func opened(
    _ write: DirectWrite, of log: PartitionLog, _ opened: Result<any LoopFile, StorageFailure>
  ) {
    switch opened {
    case .failure(let failure): ended(write, of: log, .failure(.write(failure)))
    case .success where write.attempt != log.directs.attempt:
      // Given up while its segment was being opened.
      if !log.segments.contains(where: { $0 === write.segment }) {
        files.closeDirect(write.segment)
      }
      ended(write, of: log, .success(()))
    case .success(let file):
      write.isOpened = true
      announceOpened(log)
      file.writeAndSync(at: write.range.lowerBound, write.batch.padded()) { [self] result in
        ended(write, of: log, result)
      }
    }
  }

  /// Recovery finds segments in the order in which the journal has them: files may be there in
  /// another one.
  private func announceOpened(_ log: PartitionLog) {
    for write in log.directs.writes where write.isToAnnounce {
      guard write.isOpened else { return }
      write.isToAnnounce = false
      announce(write.segment, log)
    }
  }

  /// A segment counts once its name is durable and the journal has its beginning.
  private func announce(_ segment: Segment, _ log: PartitionLog) {
    record(segment, log)
    flusher.directories.sync { [self] result in
      if case .failure(let failure) = result {
        failed(failure)
        // It is no longer tried, where the log goes on.
        return giveUp(log)
      }
      segment.isNamed = true
      settle(log)
    }
  }

  // MARK: Ending

  private func ended(
    _ write: DirectWrite, of log: PartitionLog, _ result: Result<Void, CommitFailure>
  ) {
    bytesUnderWay -= write.range.count
    if write.attempt != log.directs.attempt {
      underWay -= 1
      log.directs.given -= 1
      // What failed to sync says something about more than this write.
      if case .failure(.sync(let failure)) = result { failed(.sync(failure)) }
      return
    }
    switch result {
    case .success:
      write.isDurable = true
      settle(log)
    case .failure(let failure):
      failed(failure)
      giveUp(log, alsoEnded: write)
    }
  }

  /// Acknowledges what is durable with everything before it.
  func settle(_ log: PartitionLog) {
    while let write = log.directs.writes.first, write.isDurable, write.segment.isRecorded,
      write.segment.isNamed
    {
      log.directs.writes.removeFirst()
      underWay -= 1
      let memory = UnsafeMutableRawBufferPointer(
        rebasing: write.batch.memory[0..<write.batch.frameLength])
      let frame = TailChunk.Frame(
        base: write.base, count: write.batch.count, time: write.time, position: 0)
      let chunk = log.appendDirect(
        memory, frame, in: write.segment, at: write.range.lowerBound,
        end: write.range.upperBound, owner: write.batch, stamp: flusher.stamp())
      keep(chunk, of: log)
      uncheckpointedBytes += write.range.count
      metrics.records.add(Int(write.batch.count))
      metrics.directWrites.add()
      metrics.directBytes.add(write.range.count)
      write.completion(.success([write.base]))
      applied(log)
    }
  }

  private func keep(_ chunk: TailChunk, of log: PartitionLog) {
    kept.append((log, chunk))
    keptBytes += chunk.memory.count
    while keptBytes > LogLimits.directBytesKept, !kept.isEmpty {
      let (log, chunk) = kept.removeFirst()
      keptBytes -= chunk.memory.count
      log.dropDirect(chunk)
    }
  }

  // MARK: Giving up

  /// Refuses what of the partition is under way; the offsets are free again.
  func giveUp(_ log: PartitionLog, alsoEnded ended: DirectWrite? = nil) {
    let writes = log.directs.writes
    guard !writes.isEmpty else { return }
    log.directs.writes = []
    log.directs.attempt += 1
    let left = writes.count { !$0.isDurable && $0 !== ended }
    log.directs.given += left
    underWay -= writes.count - left
    log.mintedOffset = log.endOffset
    var isRolled = false
    while let last = log.segments.last, last.id != 0, last.size == 0 {
      files.closeDirect(last)
      log.segments.removeLast()
      isRolled = true
    }
    // What comes next must not stand where a segment that is gone was said to begin.
    if isRolled { log.segments.last?.isClosed = true }
    let error = refusal()
    for write in writes { write.completion(.failure(error)) }
  }
}
