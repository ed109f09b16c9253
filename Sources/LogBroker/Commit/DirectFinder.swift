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
  /// checkpoint has, or whose beginning came to nothing, or the records before it are gone.
  func begin(_ record: SegmentRecord, of log: PartitionLog) {
    guard record.base == log.endOffset else {
      if record.base > log.endOffset { log.unreached.append(record) }
      return
    }
    place(log, isContinued: false)
    if let last = log.segments.last, last.base == record.base {
      if last.id == record.id { return }
      log.segments.removeLast()
    }
    log.segments.append(Self.segment(record, of: log))
  }

  static func segment(_ record: SegmentRecord, of log: PartitionLog) -> Segment {
    let segment = Segment(base: record.base, directory: log.directory, size: 0, id: record.id)
    segment.isRecording = true
    segment.isRecorded = true
    segment.chainBefore = log.chain
    return segment
  }

  /// Says of frames from the journal where they belong: behind what is in the segment, or in one of
  /// their own where there is none, or it is closed and not `isContinued` by what was found.
  private func place(_ log: PartitionLog, isContinued: Bool) {
    guard let first = log.tail.first(where: { $0.place == nil }) else { return }
    if log.segments.last.map({ $0.isClosed && !isContinued }) ?? true {
      let segment = Segment(base: first.frames[0].base, directory: log.directory, size: 0)
      segment.isNew = true
      log.add(segment)
    }
    let segment = log.segments[log.segments.count - 1]
    var end = Self.placedEnd(of: log, in: segment)
    for chunk in log.tail where chunk.place == nil {
      chunk.place = (segment, end)
      end += chunk.used
    }
  }

  /// Where what has no place yet goes on in `segment`.
  private static func placedEnd(of log: PartitionLog, in segment: Segment) -> Int {
    let last = log.tail.last { $0.place != nil }
    guard let last, let place = last.place, place.segment === segment else { return segment.size }
    let end = place.position + last.used
    return last.isDirect ? GroupWriter.roundedToBlock(end) : end
  }

  /// Where a direct frame would stand now.
  static func position(_ log: PartitionLog, _ segment: Segment) -> Int {
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
      let file = try file(of: segment)
    else { return false }
    let position = Self.position(log, segment)
    guard
      let (frame, memory) = try read(
        file, at: position, log, segment, continuing: log.chain, from: log.endOffset)
    else { return false }
    if isSyncing { try file.sync() }
    place(log, isContinued: true)
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

  /// The frame at `position`, if it is whole, begins with offset `base` and continues what ends with
  /// the header checksum `chain`, whatever that is where it is nil. Its memory is whole blocks.
  func read(
    _ file: any StorageFile, at position: Int, _ log: PartitionLog, _ segment: Segment,
    continuing chain: UInt32?, from base: UInt64
  ) throws(StorageFailure) -> (FrameWalk.Frame, AlignedBuffer)? {
    guard let header = try header(file, at: position, log, segment),
      chain == nil || header.previous == chain
    else { return nil }
    let memory = AlignedBuffer(capacity: GroupWriter.roundedToBlock(header.frameLength))
    memory.bytes.slice(header.frameLength..<memory.bytes.count)
      .initializeMemory(as: UInt8.self, repeating: 0)
    let count = try file.read(at: position, into: memory.bytes.slice(0..<header.frameLength))
    guard count == header.frameLength else { return nil }
    var walk = FrameWalk(
      UnsafeRawBufferPointer(memory.bytes.slice(0..<count)), topic: log.topicNumber,
      partition: UInt32(log.target.partition))
    guard case .frame(let frame) = walk.next(), frame.base == base,
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
}
