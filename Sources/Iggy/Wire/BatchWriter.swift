/// Writes one batch straight into memory that the caller owns, message after message.
///
/// The memory must have room for what is written: `BatchHeader.length` bytes, and for each message
/// `MessageHeader.length`, its payload and its user headers. Running over it is a broken invariant.
public struct BatchWriter {
  /// What a broker adds to a producer's batch.
  public struct Stamp: Sendable, Hashable {
    public var partitionID: UInt64
    public var baseOffset: UInt64
    /// µs since 1970.
    public var baseTimestamp: UInt64

    public init(partitionID: UInt64, baseOffset: UInt64, baseTimestamp: UInt64) {
      self.partitionID = partitionID
      self.baseOffset = baseOffset
      self.baseTimestamp = baseTimestamp
    }
  }

  private let memory: UnsafeMutableRawBufferPointer
  private let originTimestamp: UInt64
  /// Bytes written so far, header included.
  public private(set) var length = BatchHeader.length
  public private(set) var count: UInt32 = 0
  private var frameStart = 0
  /// Of the messages so far, where they are kept.
  private var checksums: [UInt64]?

  /// - Parameters:
  ///   - originTimestamp: the producer's time of the first message, µs since 1970.
  ///   - keepsChecksums: for batches so large that the first messages have left the cache when the
  ///     batch's checksum is due; costs one array.
  public init(
    into memory: UnsafeMutableRawBufferPointer, originTimestamp: UInt64,
    keepsChecksums: Bool = false
  ) {
    self.memory = memory
    self.originTimestamp = originTimestamp
    if keepsChecksums { checksums = [] }
  }

  /// Begins a message; `addHeader` and `endMessage` follow. Throws for an empty or too long payload
  /// and for a time that is before the batch's or more than 2³² − 1 µs after it; nothing is written
  /// then.
  public mutating func beginMessage(
    id: UInt128, timestamp: UInt64, payload: UnsafeRawBufferPointer
  ) throws(WireError) {
    guard !payload.isEmpty, payload.count <= MessageHeader.payloadBytesMax else {
      throw .payloadLength(index: Int(count), length: payload.count)
    }
    guard timestamp >= originTimestamp, timestamp - originTimestamp <= UInt64(UInt32.max) else {
      throw .outOfRange(index: Int(count))
    }
    begin(id: id, delta: UInt32(timestamp - originTimestamp), payloadBytes: payload.count)
      .copy(payload, to: 0)
  }

  /// Begins a message at the batch's time, whose payload the caller writes, all of it, into the
  /// memory that is returned. Throws for an empty or too long payload; nothing is written then.
  public mutating func beginMessage(
    id: UInt128, payloadBytes: Int
  ) throws(WireError) -> UnsafeMutableRawBufferPointer {
    guard payloadBytes > 0, payloadBytes <= MessageHeader.payloadBytesMax else {
      throw .payloadLength(index: Int(count), length: payloadBytes)
    }
    return begin(id: id, delta: 0, payloadBytes: payloadBytes)
  }

  /// Writes a message's header; returns where its payload goes.
  private mutating func begin(
    id: UInt128, delta: UInt32, payloadBytes: Int
  ) -> UnsafeMutableRawBufferPointer {
    frameStart = length
    let frame = memory.slice(frameStart..<memory.count)
    precondition(frame.count >= MessageHeader.length + payloadBytes, "no room for the message")
    frame.storeLittleEndian(id, at: MessageHeader.Field.id)
    frame.storeLittleEndian(count, at: MessageHeader.Field.offsetDelta)
    frame.storeLittleEndian(delta, at: MessageHeader.Field.timestampDelta)
    frame.storeLittleEndian(UInt32(payloadBytes), at: MessageHeader.Field.payloadLength)
    frame.storeLittleEndian(UInt64(0), at: MessageHeader.Field.reserved)
    length += MessageHeader.length + payloadBytes
    return frame.slice(MessageHeader.length..<MessageHeader.length + payloadBytes)
  }

  /// Adds a user header with a string key and a string value, each 1 to 255 bytes. Clients sort
  /// theirs by key; a reader must not rely on it.
  public mutating func addHeader(key: StaticString, value: UnsafeRawBufferPointer) {
    length += UserHeaders.write(key: key, value: value, to: memory.slice(length..<memory.count))
  }

  /// Adds user headers that are encoded already.
  public mutating func addHeaders(_ encoded: UnsafeRawBufferPointer) {
    memory.copy(encoded, to: length)
    length += encoded.count
  }

  /// Ends the message: its header length and checksum are written.
  public mutating func endMessage() throws(WireError) {
    let frame = memory.slice(frameStart..<length)
    let payload = Int(
      UnsafeRawBufferPointer(frame).littleEndian(
        at: MessageHeader.Field.payloadLength, as: UInt32.self))
    let headers = frame.count - MessageHeader.length - payload
    guard headers <= UserHeaders.bytesMax else {
      length = frameStart
      throw .headersLength(index: Int(count), length: headers)
    }
    frame.storeLittleEndian(UInt32(headers), at: MessageHeader.Field.headersLength)
    let checksum = xxh3(UnsafeRawBufferPointer(frame.slice(8..<frame.count)))
    frame.storeLittleEndian(checksum, at: MessageHeader.Field.checksum)
    checksums?.append(checksum)
    count += 1
  }

  /// Writes the header of the batch, with a broker's `stamp` or as a producer sends it, and returns
  /// the bytes of the batch. At least one message must have been written.
  @discardableResult
  public mutating func finish(stamp: Stamp? = nil) -> UnsafeRawBufferPointer {
    precondition(count > 0, "a batch has at least one message")
    var header = BatchHeader(
      originTimestamp: originTimestamp, batchLength: UInt64(length), messageCount: count)
    if let stamp { header.apply(stamp) }
    let batch = memory.slice(0..<length)
    header.write(to: batch)
    if let checksums {
      let value = BatchHeader.checksum(of: UnsafeRawBufferPointer(batch), messages: checksums)
      batch.storeLittleEndian(value, at: BatchHeader.Field.batchChecksum)
    } else {
      BatchHeader.renewChecksum(of: batch, count: Int(count))
    }
    return UnsafeRawBufferPointer(batch)
  }
}

extension BatchHeader {
  mutating func apply(_ stamp: BatchWriter.Stamp) {
    partitionID = stamp.partitionID
    baseOffset = stamp.baseOffset
    baseTimestamp = stamp.baseTimestamp
  }

  /// Recomputes the one checksum that covers the header.
  static func renewChecksum(of batch: UnsafeMutableRawBufferPointer, count: Int) {
    let value = checksum(of: UnsafeRawBufferPointer(batch), count: count)
    batch.storeLittleEndian(value, at: Field.batchChecksum)
  }

  /// Stamps a producer's batch in place, as a broker does when it stores it; the caller has
  /// validated it. The messages are not touched, only the batch's checksum is recomputed. Throws,
  /// with nothing written, when the bytes have not the structure of a batch.
  public static func stamp(
    _ stamp: BatchWriter.Stamp, in batch: UnsafeMutableRawBufferPointer
  ) throws(WireError) {
    let view = try BatchView(UnsafeRawBufferPointer(batch))
    try view.forEach { _ in true }
    var header = view.header
    header.apply(stamp)
    let whole = batch.slice(0..<Int(header.batchLength))
    header.write(to: whole)
    renewChecksum(of: whole, count: Int(header.messageCount))
  }
}
