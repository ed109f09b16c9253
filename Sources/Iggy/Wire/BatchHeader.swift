internal import CXXHash

/// The first 256 bytes of a batch (Iggy 0.11 wire format; little-endian). A producer leaves
/// `partitionID`, `baseOffset` and `baseTimestamp` zero, the broker stamps them.
public struct BatchHeader: Sendable, Hashable {
  /// Bytes of a header, most of them reserved.
  public static let length = 256

  /// Where each field is.
  enum Field {
    static let partitionID = 0
    static let baseOffset = 8
    static let baseTimestamp = 16
    static let originTimestamp = 24
    static let batchLength = 32
    static let batchChecksum = 40
    static let messageCount = 48
    static let reserved = 52
  }

  public var partitionID: UInt64
  /// The offset of the message whose `offsetDelta` is 0, also where a slice lacks that message.
  public var baseOffset: UInt64
  /// The broker's time of the append, µs since 1970.
  public var baseTimestamp: UInt64
  /// The producer's time of the first message, µs since 1970.
  public var originTimestamp: UInt64
  /// This header and all messages.
  public var batchLength: UInt64
  public var batchChecksum: UInt64
  public var messageCount: UInt32

  public init(
    originTimestamp: UInt64, batchLength: UInt64, messageCount: UInt32, batchChecksum: UInt64 = 0
  ) {
    partitionID = 0
    baseOffset = 0
    baseTimestamp = 0
    self.originTimestamp = originTimestamp
    self.batchLength = batchLength
    self.batchChecksum = batchChecksum
    self.messageCount = messageCount
  }

  /// Reads the header at the start of `bytes`; whether its lengths and checksum are true is for
  /// `BatchView` to say.
  public init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    guard bytes.count >= Self.length else {
      throw .truncated(offset: 0, needed: Self.length, available: bytes.count)
    }
    partitionID = bytes.littleEndian(at: Field.partitionID)
    baseOffset = bytes.littleEndian(at: Field.baseOffset)
    baseTimestamp = bytes.littleEndian(at: Field.baseTimestamp)
    originTimestamp = bytes.littleEndian(at: Field.originTimestamp)
    batchLength = bytes.littleEndian(at: Field.batchLength)
    batchChecksum = bytes.littleEndian(at: Field.batchChecksum)
    messageCount = bytes.littleEndian(at: Field.messageCount)
    for offset in stride(from: Field.reserved, to: Self.length, by: 4)
    where bytes.littleEndian(at: offset, as: UInt32.self) != 0 {
      throw .reservedNotZero(offset: offset)
    }
  }

  /// Writes 256 bytes to the start of `bytes`, which has room for them.
  public func write(to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= Self.length, "no room for a batch header")
    bytes.slice(0..<Self.length).initializeMemory(as: UInt8.self, repeating: 0)
    bytes.storeLittleEndian(partitionID, at: Field.partitionID)
    bytes.storeLittleEndian(baseOffset, at: Field.baseOffset)
    bytes.storeLittleEndian(baseTimestamp, at: Field.baseTimestamp)
    bytes.storeLittleEndian(originTimestamp, at: Field.originTimestamp)
    bytes.storeLittleEndian(batchLength, at: Field.batchLength)
    bytes.storeLittleEndian(batchChecksum, at: Field.batchChecksum)
    bytes.storeLittleEndian(messageCount, at: Field.messageCount)
  }

  /// XXH3-64 over the header without checksum and reserved bytes, and the checksum of each of the
  /// `count` messages of `batch`, whose frames the caller has checked: payloads are covered
  /// through those, so that stamping never has to touch them.
  static func checksum(of batch: UnsafeRawBufferPointer, count: Int) -> UInt64 {
    let covered = 44 + count * 8
    return withUnsafeTemporaryAllocation(byteCount: covered, alignment: 8) { scratch in
      scratch.copy(batch.slice(0..<Field.batchChecksum), to: 0)
      scratch.copy(batch.slice(Field.messageCount..<Field.reserved), to: 40)
      var at = length
      for index in 0..<count {
        scratch.copy(batch.slice(at..<at + 8), to: 44 + index * 8)
        at += MessageHeader.frameLength(in: batch, at: at)
      }
      return xxh3(UnsafeRawBufferPointer(scratch))
    }
  }
}

extension BatchHeader {
  /// The same from the messages' checksums, in order.
  static func checksum(of batch: UnsafeRawBufferPointer, messages: [UInt64]) -> UInt64 {
    let covered = 44 + messages.count * 8
    return withUnsafeTemporaryAllocation(byteCount: covered, alignment: 8) { scratch in
      scratch.copy(batch.slice(0..<Field.batchChecksum), to: 0)
      scratch.copy(batch.slice(Field.messageCount..<Field.reserved), to: 40)
      for (index, checksum) in messages.enumerated() {
        scratch.storeLittleEndian(checksum, at: 44 + index * 8)
      }
      return xxh3(UnsafeRawBufferPointer(scratch))
    }
  }
}

/// XXH3-64, seed 0: every checksum of the wire format.
func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }
