import Base
import Iggy

/// Describes a packed segment: a closed one whose bytes, frames as they were, stand in compressed
/// blocks, each a zstd frame of its own, so that a read inflates what it needs (little-endian):
///
/// | at | bytes | field |
/// |---:|---:|---|
/// | 0 | 4 | magic `KFMZ` |
/// | 4 | 4 | format version |
/// | 8 | 8 | bytes of the segment |
/// | 16 | 4 | bytes of a block before it was compressed |
/// | 20 | 4 | blocks |
/// | 24 | 4 | CRC32C of the table |
/// | 28 | 4 | CRC32C of bytes 0 to 28 |
/// | 32 | 8 a block | the table: where each block ends in the file |
///
/// The blocks follow. What a block holds is checked by the checksums of the frames in it; one that
/// cannot be inflated reads as zeros, which are no frame.
struct PackedHeader: Hashable {
  static let magic: UInt32 = 0x5A4D_464B
  static let version: UInt32 = 1
  static let length = 32
  /// Of a block before it is compressed: half of what one poll reads.
  static let blockBytes = 128 << 10
  /// What is read first of a file: all there is to know of a segment of 64 MiB.
  static let firstReadBytes = 8 << 10

  /// Bytes of the segment.
  var size: Int
  var blockBytes: Int
  /// Where each block ends in the file.
  var ends: [Int] = []

  init(size: Int, blockBytes: Int = Self.blockBytes) {
    self.size = size
    self.blockBytes = blockBytes
  }

  enum Reading {
    case valid(PackedHeader)
    /// The file's first so many bytes have to be read.
    case needs(Int)
    case damaged
  }

  /// Reads the beginning of a file.
  static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
    guard bytes.count >= length, bytes.littleEndian(at: 0, as: UInt32.self) == magic,
      bytes.littleEndian(at: 4, as: UInt32.self) == version,
      bytes.littleEndian(at: 28, as: UInt32.self) == crc32c(bytes.slice(0..<28)),
      let size = Int(exactly: bytes.littleEndian(at: 8, as: UInt64.self))
    else { return .damaged }
    var header = PackedHeader(
      size: size, blockBytes: Int(bytes.littleEndian(at: 16, as: UInt32.self)))
    let count = Int(bytes.littleEndian(at: 20, as: UInt32.self))
    guard header.blockBytes > 0, header.blockBytes <= 1 << 24, count == header.count else {
      return .damaged
    }
    let end = length + 8 * count
    guard bytes.count >= end else { return .needs(end) }
    guard bytes.littleEndian(at: 24, as: UInt32.self) == crc32c(bytes.slice(length..<end)) else {
      return .damaged
    }
    var last = end
    for index in 0..<count {
      let next = Int(clamping: bytes.littleEndian(at: length + 8 * index, as: UInt64.self))
      guard next > last else { return .damaged }
      header.ends.append(next)
      last = next
    }
    return .valid(header)
  }

  /// Blocks of the segment.
  var count: Int { (size - 1) / blockBytes + (size > 0 ? 1 : 0) }
  /// Header and table.
  var headLength: Int { Self.length + 8 * count }

  /// Fills the first `headLength` bytes of the file.
  func write(to bytes: UnsafeMutableRawBufferPointer) {
    for (index, end) in ends.enumerated() {
      bytes.storeLittleEndian(UInt64(end), at: Self.length + 8 * index)
    }
    bytes.storeLittleEndian(Self.magic, at: 0)
    bytes.storeLittleEndian(Self.version, at: 4)
    bytes.storeLittleEndian(UInt64(size), at: 8)
    bytes.storeLittleEndian(UInt32(blockBytes), at: 16)
    bytes.storeLittleEndian(UInt32(count), at: 20)
    let table = UnsafeRawBufferPointer(bytes.slice(Self.length..<headLength))
    bytes.storeLittleEndian(crc32c(table), at: 24)
    bytes.storeLittleEndian(crc32c(UnsafeRawBufferPointer(bytes.slice(0..<28))), at: 28)
  }

  // MARK: Places

  /// What a block has in the segment.
  func range(of block: Int) -> Range<Int> {
    block * blockBytes..<min(size, (block + 1) * blockBytes)
  }

  /// Where a block stands in the file.
  func place(of block: Int) -> Range<Int> {
    (block == 0 ? headLength : ends[block - 1])..<ends[block]
  }

  /// The blocks that hold `range` of the segment, as far as there is such.
  func blocks(_ range: Range<Int>) -> Range<Int> {
    let range = range.clamped(to: 0..<size)
    return range.isEmpty
      ? 0..<0 : range.lowerBound / blockBytes..<(range.upperBound - 1) / blockBytes + 1
  }

  /// Where several blocks stand in the file.
  func place(of blocks: Range<Int>) -> Range<Int> {
    blocks.isEmpty
      ? 0..<0
      : place(of: blocks.lowerBound).lowerBound..<place(of: blocks.upperBound - 1).upperBound
  }
}
