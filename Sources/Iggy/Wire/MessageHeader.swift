/// The first 48 bytes of a message's frame; payload and user headers follow.
public struct MessageHeader: Sendable, Hashable {
  /// Bytes of a header.
  public static let length = 48
  /// Bytes of one payload at most, as the official clients check it.
  public static let payloadBytesMax = 64_000_000

  /// Where each field is, from the start of the frame.
  enum Field {
    static let checksum = 0
    static let id = 8
    static let offsetDelta = 24
    static let timestampDelta = 28
    static let headersLength = 32
    static let payloadLength = 36
    static let reserved = 40
  }

  /// XXH3-64 over the frame from byte 8 to its end.
  public var checksum: UInt64
  public var id: UInt128
  public var offsetDelta: UInt32
  /// µs after the batch's `originTimestamp`.
  public var timestampDelta: UInt32
  public var headersLength: Int
  public var payloadLength: Int

  /// Header, payload and user headers.
  public var frameLength: Int { Self.length + payloadLength + headersLength }

  /// Reads and checks the frame at `offset` of `batch`; `index` names it in errors.
  init(_ batch: UnsafeRawBufferPointer, at offset: Int, index: Int) throws(WireError) {
    guard batch.count - offset >= Self.length else {
      throw .truncated(offset: offset, needed: Self.length, available: batch.count - offset)
    }
    checksum = batch.littleEndian(at: offset + Field.checksum)
    id = batch.littleEndian(at: offset + Field.id)
    offsetDelta = batch.littleEndian(at: offset + Field.offsetDelta)
    timestampDelta = batch.littleEndian(at: offset + Field.timestampDelta)
    headersLength = Int(batch.littleEndian(at: offset + Field.headersLength, as: UInt32.self))
    payloadLength = Int(batch.littleEndian(at: offset + Field.payloadLength, as: UInt32.self))
    guard batch.littleEndian(at: offset + Field.reserved, as: UInt64.self) == 0 else {
      throw .reservedNotZero(offset: offset + Field.reserved)
    }
    guard payloadLength > 0, payloadLength <= Self.payloadBytesMax else {
      throw .payloadLength(index: index, length: payloadLength)
    }
    guard headersLength <= UserHeaders.bytesMax else {
      throw .headersLength(index: index, length: headersLength)
    }
    guard batch.count - offset >= frameLength else {
      throw .truncated(offset: offset, needed: frameLength, available: batch.count - offset)
    }
  }

  /// The length of a frame that has been checked before.
  static func frameLength(in batch: UnsafeRawBufferPointer, at offset: Int) -> Int {
    length + Int(batch.littleEndian(at: offset + Field.headersLength, as: UInt32.self))
      + Int(batch.littleEndian(at: offset + Field.payloadLength, as: UInt32.self))
  }
}
