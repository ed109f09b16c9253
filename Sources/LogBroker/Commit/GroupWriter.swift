import Base
import Events
import Iggy

/// Encodes one commit group into memory, exactly as it goes to the journal: frames one after the
/// other, zeros up to the next block. The first block of the memory is kept for a journal header.
struct GroupWriter {
  /// A frame that was written, for what follows once it is durable.
  struct Frame {
    let log: PartitionLog
    /// In the buffer, header included.
    let range: Range<Int>
    let base: UInt64
    let count: UInt32
    let time: UInt64
  }

  let buffer: AlignedBuffer
  let generation: UInt64
  let group: UInt64
  private let followsUnsynced: Bool
  private let cipher: BatchCipher?
  /// Checksum of the header written last; the next frame names it.
  private(set) var previous: UInt32
  private(set) var frames: [Frame] = []
  private(set) var end = LogLimits.blockBytes
  private var header: FrameHeader?
  private var headerAt = 0
  private var index: UInt32 = 0

  /// - Parameters:
  ///   - followsUnsynced: the group before is not durable.
  ///   - cipher: what batches are enciphered with; nil for not at all.
  init(
    buffer: AlignedBuffer, generation: UInt64, group: UInt64, previous: UInt32,
    followsUnsynced: Bool, cipher: BatchCipher?
  ) {
    self.cipher = cipher
    self.buffer = buffer
    self.followsUnsynced = followsUnsynced
    self.generation = generation
    self.group = group
    self.previous = previous
  }

  /// Whether nothing has been added.
  var isEmpty: Bool { index == 0 }

  // MARK: Lengths

  /// Bytes the frame of `batch` takes.
  static func frameLength(of batch: PartitionBatch) -> Int {
    batch.records.reduce(FrameHeader.length + BatchHeader.length) {
      $0 + MessageHeader.length + $1.payload.count + headersLength(of: $1)
    }
  }

  static func frameLength(of offset: GroupOffset) -> Int { FrameHeader.length + offset.length }

  static let segmentRecordLength = FrameHeader.length + SegmentRecord.length
  static let reservationLength = FrameHeader.length + OffsetReservation.length
  static let cutLength = FrameHeader.length + 8

  static func roundedToBlock(_ length: Int) -> Int {
    (length + LogLimits.blockBytes - 1) / LogLimits.blockBytes * LogLimits.blockBytes
  }

  private static func headersLength(of record: BusRecord) -> Int {
    UserHeaders.entryLength(key: 8, value: 26)
      + UserHeaders.entryLength(key: 4, value: record.type.utf8.count)
  }

  // MARK: Frames

  /// Adds `batch`, whose records get the next offsets of `log`; returns the first of them.
  mutating func add(_ batch: PartitionBatch, to log: PartitionLog, now: UInt64) -> UInt64 {
    let length = Self.frameLength(of: batch)
    let base = log.mintedOffset
    let time = max(now, log.lastTime)
    begin(.batch, log: log, bodyLength: length - FrameHeader.length)
    let body = buffer.bytes.slice(end + FrameHeader.length..<end + length)
    var writer = BatchWriter(into: body, originTimestamp: now)
    for record in batch.records { Self.write(record, to: &writer, now: now) }
    writer.finish(
      stamp: .init(
        partitionID: UInt64(log.target.partition), baseOffset: base, baseTimestamp: time))
    precondition(writer.length == body.count, "a frame's length was foreseen wrong")
    frames.append(
      Frame(
        log: log, range: end..<end + length, base: base, count: writer.count, time: time))
    encipher(body)
    seal(length)
    log.mintedOffset = base + UInt64(writer.count)
    return base
  }

  /// Adds a batch that is encoded already; returns its first offset.
  mutating func add(_ batch: OutgoingBatch, to log: PartitionLog, now: UInt64) -> UInt64 {
    let base = log.mintedOffset
    let time = max(now, log.lastTime)
    batch.stamp(
      .init(partitionID: UInt64(log.target.partition), baseOffset: base, baseTimestamp: time))
    begin(.batch, log: log, bodyLength: batch.bodyLength)
    let length = batch.frameLength
    buffer.bytes.copy(
      batch.bytes.slice(FrameHeader.length..<length), to: end + FrameHeader.length)
    frames.append(
      Frame(log: log, range: end..<end + length, base: base, count: batch.count, time: time))
    encipher(buffer.bytes.slice(end + FrameHeader.length..<end + length))
    seal(length, checksum: cipher == nil ? batch.stampedChecksum : nil)
    log.mintedOffset = base + UInt64(batch.count)
    return base
  }

  /// Adds that a segment has begun.
  mutating func add(_ segment: Segment, of log: PartitionLog) {
    begin(.segment, log: log, bodyLength: SegmentRecord.length)
    let body = end + FrameHeader.length..<end + Self.segmentRecordLength
    SegmentRecord(base: segment.base, id: segment.id, settled: log.endOffset)
      .write(to: buffer.bytes.slice(body))
    seal(Self.segmentRecordLength)
  }

  /// Adds a consumer group's offset.
  mutating func add(_ offset: GroupOffset, of log: PartitionLog) {
    let length = Self.frameLength(of: offset)
    begin(offset.kind, log: log, bodyLength: offset.length)
    offset.write(to: buffer.bytes.slice(end + FrameHeader.length..<end + length))
    seal(length)
  }

  /// Adds a reservation of offsets.
  mutating func add(_ reservation: OffsetReservation, of log: PartitionLog) {
    let length = Self.reservationLength
    begin(.reservation, log: log, bodyLength: length - FrameHeader.length)
    reservation.write(to: buffer.bytes.slice(end + FrameHeader.length..<end + length))
    seal(length)
  }

  /// Adds that records of `log` below `offset` are gone.
  mutating func add(cut offset: UInt64, of log: PartitionLog) {
    let length = Self.cutLength
    begin(.cut, log: log, bodyLength: length - FrameHeader.length)
    buffer.bytes.storeLittleEndian(offset, at: end + FrameHeader.length)
    seal(length)
  }

  /// Marks the last frame as the group's last and fills up the block. At least one frame has been
  /// added.
  mutating func finish() {
    header!.isLast = true
    writeHeader()
    let padded = Self.roundedToBlock(end)
    buffer.bytes.slice(end..<padded).initializeMemory(as: UInt8.self, repeating: 0)
    end = padded
  }

  /// Writes an admitted record, for which there is room.
  static func write(_ record: BusRecord, to writer: inout BatchWriter, now: UInt64) {
    do {
      try record.payload.withUnsafeBytes {
        try writer.beginMessage(id: record.eventID.value, timestamp: now, payload: $0)
      }
      // Sorted by key, as clients do it.
      withUnsafeTemporaryAllocation(byteCount: 26, alignment: 1) { text in
        record.eventID.write(to: text)
        writer.addHeader(key: "event_id", value: UnsafeRawBufferPointer(text))
      }
      var type = record.type
      type.withUTF8 { writer.addHeader(key: "type", value: UnsafeRawBufferPointer($0)) }
      try writer.endMessage()
    } catch {
      preconditionFailure("a record was admitted that is none: \(error)")
    }
  }

  private mutating func begin(_ kind: FrameHeader.Kind, log: PartitionLog, bodyLength: Int) {
    header = FrameHeader(
      generation: generation, group: group, kind: kind, topic: log.topicNumber,
      partition: UInt32(log.target.partition), bodyLength: bodyLength, index: index)
    header!.previous = previous
    header!.followsUnsynced = followsUnsynced
    headerAt = end
  }

  private mutating func encipher(_ batch: UnsafeMutableRawBufferPointer) {
    guard let cipher else { return }
    header!.key = cipher.id
    cipher.seal(batch, header!)
  }

  private mutating func seal(_ length: Int, checksum: UInt32? = nil) {
    let body = buffer.bytes.slice(end + FrameHeader.length..<end + length)
    header!.bodyChecksum = checksum ?? crc32c(UnsafeRawBufferPointer(body))
    end += length
    index += 1
    writeHeader()
  }

  private mutating func writeHeader() {
    header!.write(to: buffer.bytes.slice(headerAt..<headerAt + FrameHeader.length))
    previous = header!.checksum
  }
}

extension ULID {
  /// The 26 characters.
  fileprivate func write(to text: UnsafeMutableRawBufferPointer) {
    let digits: StaticString = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    for index in 0..<26 {
      let digit = Int(truncatingIfNeeded: value >> UInt128(5 * (25 - index))) & 31
      text[index] = digits.utf8Start[digit]
    }
  }
}
