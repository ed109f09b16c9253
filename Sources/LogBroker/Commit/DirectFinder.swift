import Base
import Events
import Iggy

/// Finds what was written to segments directly and no checkpoint knows of yet. Changes nothing on
/// disk: what is found stands in the partition's memory, with its place.
struct DirectFinder {
  let storage: any Storage
  let windowBytes: Int
  let isSyncing: Bool
  private var open: (segment: Segment, file: any StorageFile)?

  init(storage: any Storage, windowBytes: Int, isSyncing: Bool) {
    self.storage = storage
    self.windowBytes = windowBytes
    self.isSyncing = isSyncing
  }

  /// Takes in a segment that began where the partition ends now. Anything else is one that a
  /// checkpoint has, or whose beginning came to nothing.
  func begin(_ record: SegmentRecord, of log: PartitionLog) {
    guard record.base == log.endOffset else { return }
    place(log)
    if let last = log.segments.last, last.base == record.base {
      if last.id == record.id { return }
      log.segments.removeLast()
    }
    let segment = Segment(base: record.base, directory: log.directory, size: 0, id: record.id)
    segment.isRecording = true
    segment.isRecorded = true
    segment.chainBefore = log.chain
    log.segments.append(segment)
  }

  /// Says of frames from the journal where they belong: behind what is in the segment, or in one of
  /// their own.
  private func place(_ log: PartitionLog) {
    guard let first = log.tail.first(where: { $0.place == nil }) else { return }
    if log.segments.last.map({ $0.isClosed || $0.isDamaged }) ?? true {
      let segment = Segment(base: first.frames[0].base, directory: log.directory, size: 0)
      segment.isNew = true
      segment.chainBefore = log.tail.last { $0.place != nil }?.chain ?? log.flushedChain
      log.segments.append(segment)
    }
    let segment = log.segments[log.segments.count - 1]
    var end = Self.placedEnd(of: log, in: segment)
    for chunk in log.tail where chunk.place == nil {
      chunk.place = (segment, end)
      end += chunk.used
    }
  }

  /// Records before `base` are missing. What comes next gets a file of its own: where the missing
  /// ones may have stood, and others behind them, nothing is written over what a repair could find.
  func leaveGap(upTo base: UInt64, of log: PartitionLog) {
    place(log)
    log.segments.last?.isClosed = true
    log.leaveGap(upTo: base)
  }

  /// Where what has no place yet goes on in `segment`.
  private static func placedEnd(of log: PartitionLog, in segment: Segment) -> Int {
    let last = log.tail.last { $0.place != nil }
    guard let last, let place = last.place, place.segment === segment else { return segment.size }
    let end = place.position + last.used
    return last.isDirect ? GroupWriter.roundedToBlock(end) : end
  }

  /// Where a direct frame would stand now.
  private static func position(_ log: PartitionLog, _ segment: Segment) -> Int {
    let waiting = log.tail.reduce(0) { $0 + ($1.place == nil ? $1.used : 0) }
    return GroupWriter.roundedToBlock(placedEnd(of: log, in: segment) + waiting)
  }

  // MARK: Finding

  /// Adds what the partition has before offset `base`.
  mutating func find(_ log: PartitionLog, upTo base: UInt64) throws(StorageFailure) {
    while log.endOffset < base {
      if try findNext(log) { continue }
      guard let next = log.announced.first(where: { $0.base == log.endOffset }) else { return }
      log.announced.removeAll { $0.base <= next.base }
      begin(next, of: log)
    }
  }

  /// Adds the next frame, if it is there.
  private mutating func findNext(_ log: PartitionLog) throws(StorageFailure) -> Bool {
    guard let segment = log.segments.last, segment.id != 0, !segment.isDamaged,
      !segment.isClosed, let file = try file(of: segment)
    else { return false }
    let position = Self.position(log, segment)
    guard let (frame, memory) = try read(file, at: position, log, segment) else { return false }
    if isSyncing { try file.sync() }
    place(log)
    log.appendFound(
      UnsafeMutableRawBufferPointer(rebasing: memory.bytes[0..<frame.range.count]),
      .init(base: frame.base, count: frame.count, time: frame.time, position: 0),
      in: segment, at: position, owner: memory)
    return true
  }

  private mutating func file(of segment: Segment) throws(StorageFailure) -> (any StorageFile)? {
    if let open, open.segment === segment { return open.file }
    close()
    do throws(StorageFailure) {
      let file = try storage.open(segment.path, .read)
      open = (segment, file)
      return file
    } catch {
      // Its beginning is on the journal, its name was not durable: nothing in it was.
      guard error.kind == .notFound, segment.size == 0 else { throw error }
      segment.isNew = true
      return nil
    }
  }

  mutating func close() {
    open?.file.close()
    open = nil
  }

  /// The frame at `position`, if it is whole and continues the partition.
  private func read(
    _ file: any StorageFile, at position: Int, _ log: PartitionLog, _ segment: Segment
  ) throws(StorageFailure) -> (FrameWalk.Frame, AlignedBuffer)? {
    guard let header = try header(file, at: position, log, segment),
      header.previous == log.chain
    else { return nil }
    let memory = AlignedBuffer(capacity: GroupWriter.roundedToBlock(header.frameLength))
    let count = try file.read(at: position, into: memory.bytes.slice(0..<header.frameLength))
    guard count == header.frameLength else { return nil }
    var walk = FrameWalk(
      UnsafeRawBufferPointer(memory.bytes.slice(0..<count)), topic: log.topicNumber,
      partition: UInt32(log.target.partition))
    guard case .frame(let frame) = walk.next(), frame.base == log.endOffset,
      walk.isWhole(frame), holdsBatch(walk.bytes.slice(frame.range), log)
    else { return nil }
    return (frame, memory)
  }

  private func holdsBatch(_ frame: UnsafeRawBufferPointer, _ log: PartitionLog) -> Bool {
    let plain: SharedBytes?
    // With another key than this log's it would not have been opened.
    do throws(BatchCipher.Problem) { plain = try log.deciphered(frame) } catch { return false }
    return withExtendedLifetime(plain) {
      let body = plain?.bytes ?? frame.slice(FrameHeader.length..<frame.count)
      guard let batch = try? BatchView(body) else { return false }
      return (try? batch.forEach { _ in true }) != nil
    }
  }

  private func header(
    _ file: any StorageFile, at position: Int, _ log: PartitionLog, _ segment: Segment
  ) throws(StorageFailure) -> FrameHeader? {
    try withHeader { bytes throws(StorageFailure) in
      guard try file.read(at: position, into: bytes) == bytes.count,
        let header = FrameHeader(UnsafeRawBufferPointer(bytes)), header.isDirect,
        header.generation == segment.id, header.kind == .batch,
        header.topic == log.topicNumber, header.partition == UInt32(log.target.partition)
      else { return nil }
      return header
    }
  }

  private func withHeader<Value>(
    _ body: (UnsafeMutableRawBufferPointer) throws(StorageFailure) -> Value
  ) throws(StorageFailure) -> Value {
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: FrameHeader.length, alignment: 8)
    defer { memory.deallocate() }
    return try body(memory)
  }

  // MARK: Damage

  /// Why what stands behind the partition's end shows that a record is missing which was
  /// acknowledged; nil when a crash explains it all. A frame says how many records before it were
  /// not durable when it was written: all others have to be there.
  func damage(behind log: PartitionLog) throws(StorageFailure) -> String? {
    guard log.damage == nil, let segment = log.segments.last, segment.id != 0, let open,
      open.segment === segment
    else { return nil }
    let from = Self.position(log, segment)
    let end = min(try open.file.size(), from + windowBytes + 2 * LogLimits.blockBytes)
    guard from < end else { return nil }
    let part = AlignedBuffer(capacity: min(Self.partBytes, end - from))
    for at in stride(from: from, to: end, by: part.bytes.count) {
      let count = try open.file.read(
        at: at, into: part.bytes.slice(0..<min(part.bytes.count, end - at)))
      let bytes = UnsafeRawBufferPointer(part.bytes.slice(0..<count))
      if Self.showsLoss(bytes, log, segment) {
        return "\(segment.path): the record at offset \(log.endOffset) is not what was written"
      }
    }
    return nil
  }

  private static let partBytes = 1 << 20

  /// Whether a frame that begins at a block of `bytes` was written after a record that is missing
  /// had become durable.
  private static func showsLoss(
    _ bytes: UnsafeRawBufferPointer, _ log: PartitionLog, _ segment: Segment
  ) -> Bool {
    for at in stride(from: 0, to: bytes.count, by: LogLimits.blockBytes) {
      let least = FrameHeader.length + BatchHeader.length
      guard bytes.count - at >= least,
        let header = FrameHeader(bytes.slice(at..<bytes.count)), header.isDirect,
        header.generation == segment.id, header.topic == log.topicNumber,
        header.partition == UInt32(log.target.partition),
        let batch = BatchCipher.header(
          of: bytes.slice(at + FrameHeader.length..<at + least), key: header.key)
      else { continue }
      let settled = batch.baseOffset.subtractingReportingOverflow(UInt64(header.unsettled))
      if !settled.overflow, settled.partialValue > log.endOffset { return true }
    }
    return false
  }
}
