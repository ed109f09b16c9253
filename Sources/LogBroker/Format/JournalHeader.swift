import Base
import Iggy

/// The first block of a journal file: written together with the first commit group of its
/// generation, so that it is durable exactly when a group is.
///
/// | at | bytes | field |
/// |---:|---:|---|
/// | 0 | 4 | magic `KFMJ` |
/// | 4 | 4 | format version |
/// | 8 | 8 | generation |
/// | 16 | 8 | first commit group |
/// | 24 | 4 | header checksum of the frame before the first one |
/// | 28 | 4 | CRC32C of bytes 0 to 28 |
struct JournalHeader: Hashable {
  static let magic: UInt32 = 0x4A4D_464B
  static let version: UInt32 = 1
  /// Bytes with meaning; the rest of the block is zero.
  static let length = 32

  enum Reading: Hashable {
    case valid(JournalHeader)
    /// Never written, torn or damaged.
    case none
    case newer(version: Int)
  }

  var generation: UInt64
  var firstGroup: UInt64
  var previous: UInt32

  static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
    guard bytes.count >= length, bytes.littleEndian(at: 0, as: UInt32.self) == magic,
      bytes.littleEndian(at: 28, as: UInt32.self) == crc32c(bytes.slice(0..<28))
    else { return .none }
    let version = bytes.littleEndian(at: 4, as: UInt32.self)
    if version > Self.version { return .newer(version: Int(version)) }
    return .valid(
      JournalHeader(
        generation: bytes.littleEndian(at: 8), firstGroup: bytes.littleEndian(at: 16),
        previous: bytes.littleEndian(at: 24)))
  }

  /// Fills one block.
  func write(to block: UnsafeMutableRawBufferPointer) {
    block.initializeMemory(as: UInt8.self, repeating: 0)
    block.storeLittleEndian(Self.magic, at: 0)
    block.storeLittleEndian(Self.version, at: 4)
    block.storeLittleEndian(generation, at: 8)
    block.storeLittleEndian(firstGroup, at: 16)
    block.storeLittleEndian(previous, at: 24)
    block.storeLittleEndian(crc32c(UnsafeRawBufferPointer(block.slice(0..<28))), at: 28)
  }
}
