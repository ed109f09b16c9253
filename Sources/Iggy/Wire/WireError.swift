/// Why bytes are not the Iggy batch they should be. Offsets and lengths are in bytes.
public enum WireError: Error, Sendable, Hashable {
  /// Fewer bytes than the structure at `offset` needs.
  case truncated(offset: Int, needed: Int, available: Int)
  /// A reserved byte at or after `offset` is not zero.
  case reservedNotZero(offset: Int)
  /// `batch_length` is below 256, or differs from the bytes of the messages.
  case batchLength(stated: UInt64, actual: Int)
  /// `message_count` is zero, or differs from the messages that are there.
  case messageCount(stated: UInt32, actual: Int)
  case batchChecksum(stated: UInt64, computed: UInt64)
  case messageChecksum(index: Int, stated: UInt64, computed: UInt64)
  /// A payload of zero bytes, or above `MessageHeader.payloadBytesMax`.
  case payloadLength(index: Int, length: Int)
  /// User headers above `UserHeaders.bytesMax`.
  case headersLength(index: Int, length: Int)
  /// Offsets within a batch rise by one.
  case offsetDelta(index: Int, expected: UInt32, found: UInt32)
  /// `origin_timestamp` + `timestamp_delta` or `base_offset` + `offset_delta` leaves 64 bits, or a
  /// message is more than 2³² µs after the first (Iggy's error 4038).
  case outOfRange(index: Int)
  /// An entry of user headers: its kind is unknown, or its length is none its kind has.
  case headerEntry(offset: Int, kind: UInt8, length: Int)
}
