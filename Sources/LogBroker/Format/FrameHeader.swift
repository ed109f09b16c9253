import Base
import Iggy

/// The 64 bytes before every body on disk, in journals and in segments (little-endian):
///
/// | at | bytes | field |
/// |---:|---:|---|
/// | 0 | 4 | magic `KFMF` |
/// | 4 | 1 | format version |
/// | 5 | 1 | length of this header |
/// | 6 | 2 | flags: bit 0 = last frame of its commit group; bit 1 = the group before was unsynced; |
/// |   |   | bit 2 = written directly |
/// | 8 | 8 | generation of the journal file, or id of the segment when written directly: against |
/// |   |   | stale frames in a recycled file |
/// | 16 | 8 | commit group; 0 when written directly |
/// | 24 | 4 | key the body is encrypted with; 0 = none |
/// | 28 | 2 | kind |
/// | 30 | 2 | topic, by its number in the catalog |
/// | 32 | 4 | partition |
/// | 36 | 4 | length of the body |
/// | 40 | 4 | CRC32C of the body |
/// | 44 | 4 | header checksum of the frame before this one: in the journal, or in the partition |
/// |   |   | when written directly |
/// | 48 | 4 | number of this frame in its group, from 0 |
/// | 52 | 4 | written directly: records before this frame that were not durable yet; else 0 |
/// | 56 | 4 | reserved, 0 |
/// | 60 | 4 | CRC32C of bytes 0 to 60: through it the header covers the body too |
///
/// `previous` chains the frames: what an earlier attempt left behind where a later one was cut off
/// can never be taken for its continuation.
struct FrameHeader: Hashable {
  static let length = 64
  static let magic: UInt32 = 0x464D_464B
  static let version: UInt8 = 1

  enum Kind: UInt16 {
    /// The body is an Iggy batch, stamped.
    case batch = 1
    /// The body is a `GroupOffset`.
    case groupOffset = 2
    /// The body is an `OffsetReservation`.
    case reservation = 3
    /// The body is the first offset (u64) that is kept.
    case cut = 4
    /// The body is a `SegmentRecord`.
    case segment = 5
    /// The body is a `GroupOffset` that holds also where it is lower than the one before.
    case rewind = 6
  }

  var isLast = false
  /// A power loss may have taken what came before, and left this.
  var followsUnsynced = false
  /// In no journal: the frame stands in its segment, at the start of a block.
  var isDirect = false
  var generation: UInt64
  var group: UInt64
  /// What the body is enciphered with (`BatchCipher`); 0 = it is in the clear.
  var key: UInt32 = 0
  var kind: Kind
  var topic: UInt16
  var partition: UInt32
  var bodyLength: Int
  var bodyChecksum: UInt32 = 0
  var previous: UInt32 = 0
  var index: UInt32
  /// Of a direct frame: how many records before it had not become durable when it was written.
  var unsettled: UInt32 = 0
  /// Of the header as it was read or written.
  var checksum: UInt32 = 0

  init(
    generation: UInt64, group: UInt64, kind: Kind, topic: UInt16, partition: UInt32,
    bodyLength: Int, index: UInt32
  ) {
    self.generation = generation
    self.group = group
    self.kind = kind
    self.topic = topic
    self.partition = partition
    self.bodyLength = bodyLength
    self.index = index
  }

  /// Reads a header of this version whose checksum is true; nil for anything else.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.length, bytes.littleEndian(at: 0, as: UInt32.self) == Self.magic,
      bytes.littleEndian(at: 60, as: UInt32.self) == crc32c(bytes.slice(0..<60)),
      bytes[4] == Self.version, Int(bytes[5]) == Self.length,
      let kind = Kind(rawValue: bytes.littleEndian(at: 28))
    else { return nil }
    isLast = bytes.littleEndian(at: 6, as: UInt16.self) & 1 != 0
    isDirect = bytes.littleEndian(at: 6, as: UInt16.self) & 4 != 0
    followsUnsynced = bytes.littleEndian(at: 6, as: UInt16.self) & 2 != 0
    generation = bytes.littleEndian(at: 8)
    group = bytes.littleEndian(at: 16)
    key = bytes.littleEndian(at: 24)
    self.kind = kind
    topic = bytes.littleEndian(at: 30)
    partition = bytes.littleEndian(at: 32)
    bodyLength = Int(bytes.littleEndian(at: 36, as: UInt32.self))
    bodyChecksum = bytes.littleEndian(at: 40)
    previous = bytes.littleEndian(at: 44)
    index = bytes.littleEndian(at: 48)
    unsettled = bytes.littleEndian(at: 52)
    checksum = bytes.littleEndian(at: 60)
  }

  /// Whether the body of a frame is enciphered, without a look at the rest.
  static func isEnciphered(_ frame: UnsafeRawBufferPointer) -> Bool {
    frame.littleEndian(at: 24, as: UInt32.self) != 0
  }

  /// Header and body.
  var frameLength: Int { Self.length + bodyLength }

  /// Writes the header, its checksum included.
  mutating func write(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeLittleEndian(Self.magic, at: 0)
    bytes[4] = Self.version
    bytes[5] = UInt8(Self.length)
    let flags = (isLast ? 1 : 0) | (followsUnsynced ? 2 : 0) | (isDirect ? 4 : 0)
    bytes.storeLittleEndian(UInt16(flags), at: 6)
    bytes.storeLittleEndian(generation, at: 8)
    bytes.storeLittleEndian(group, at: 16)
    bytes.storeLittleEndian(key, at: 24)
    bytes.storeLittleEndian(kind.rawValue, at: 28)
    bytes.storeLittleEndian(topic, at: 30)
    bytes.storeLittleEndian(partition, at: 32)
    bytes.storeLittleEndian(UInt32(bodyLength), at: 36)
    bytes.storeLittleEndian(bodyChecksum, at: 40)
    bytes.storeLittleEndian(previous, at: 44)
    bytes.storeLittleEndian(index, at: 48)
    bytes.storeLittleEndian(unsettled, at: 52)
    bytes.storeLittleEndian(UInt32(0), at: 56)
    checksum = crc32c(UnsafeRawBufferPointer(bytes.slice(0..<60)))
    bytes.storeLittleEndian(checksum, at: 60)
  }
}

/// A consumer group's offset, as the body of a frame: the offset (u64), then the group's name.
struct GroupOffset: Hashable {
  /// Bytes of a group's name, as Iggy limits names.
  static let nameBytesMax = 255

  var offset: UInt64
  var group: String
  /// It was asked for that the offset may go back; said by the frame's kind.
  var isRewind = false

  init(offset: UInt64, group: String, isRewind: Bool = false) {
    self.offset = offset
    self.group = group
    self.isRewind = isRewind
  }

  var kind: FrameHeader.Kind { isRewind ? .rewind : .groupOffset }

  init?(_ body: UnsafeRawBufferPointer) {
    guard body.count > 8, body.count <= 8 + Self.nameBytesMax else { return nil }
    offset = body.littleEndian(at: 0)
    group = String(decoding: body.slice(8..<body.count), as: UTF8.self)
  }

  var length: Int { 8 + group.utf8.count }

  func write(to body: UnsafeMutableRawBufferPointer) {
    body.storeLittleEndian(offset, at: 0)
    body.slice(8..<length).copyBytes(from: group.utf8)
  }
}

/// Says that a segment began, as the body of a frame: what stands in it directly counts only once
/// this is durable.
struct SegmentRecord: Hashable {
  static let length = 24
  /// As it was written first, without `settled`.
  private static let lengthMin = 16

  /// The offset the segment begins with.
  var base: UInt64
  /// Names this use of the file.
  var id: UInt64
  /// Records before this offset were durable when it was written.
  var settled: UInt64 = 0

  init(base: UInt64, id: UInt64, settled: UInt64 = 0) {
    self.base = base
    self.id = id
    self.settled = settled
  }

  init?(_ body: UnsafeRawBufferPointer) {
    guard body.count == Self.length || body.count == Self.lengthMin else { return nil }
    base = body.littleEndian(at: 0)
    id = body.littleEndian(at: 8)
    if body.count == Self.length { settled = body.littleEndian(at: 16) }
  }

  func write(to body: UnsafeMutableRawBufferPointer) {
    body.storeLittleEndian(base, at: 0)
    body.storeLittleEndian(id, at: 8)
    body.storeLittleEndian(settled, at: 16)
  }
}
