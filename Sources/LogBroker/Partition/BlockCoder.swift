import CZstd
import Iggy

/// Compresses and inflates single blocks, with memory of its own that is used again.
final class BlockCoder {
  private let compressor: OpaquePointer?
  private let inflater: OpaquePointer?

  private static let level: Int32 = 3

  init(isForPacking: Bool) {
    compressor = isForPacking ? ZSTD_createCCtx() : nil
    inflater = ZSTD_createDCtx()
  }

  deinit {
    ZSTD_freeCCtx(compressor)
    ZSTD_freeDCtx(inflater)
  }

  /// Bytes that a block of `count` bytes may need.
  static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

  /// Compresses `bytes` into `target`, which has room for `bound`; nil when that fails.
  func compress(
    _ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) -> Int? {
    let count = ZSTD_compressCCtx(
      compressor, target.baseAddress, target.count, bytes.baseAddress, bytes.count, Self.level)
    return ZSTD_isError(count) != 0 ? nil : count
  }

  /// Fills `target` with what the block holds; with zeros when it is not what was written.
  @discardableResult
  func inflate(
    _ block: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let count = ZSTD_decompressDCtx(
      inflater, target.baseAddress, target.count, block.baseAddress, block.count)
    if ZSTD_isError(count) == 0, count == target.count { return true }
    target.initializeMemory(as: UInt8.self, repeating: 0)
    return false
  }

  /// Fills `target` with the segment's bytes from `offset` on, out of `compressed`: the `blocks`
  /// that hold them, as they stand in the file.
  func inflate(
    _ compressed: UnsafeRawBufferPointer, _ blocks: Range<Int>, of header: PackedHeader,
    at offset: Int, into target: UnsafeMutableRawBufferPointer
  ) {
    let start = header.place(of: blocks).lowerBound
    let wanted = offset..<offset + target.count
    var whole: AlignedBuffer?
    for block in blocks {
      let range = header.range(of: block)
      let place = header.place(of: block)
      let bytes = compressed.slice(place.lowerBound - start..<place.upperBound - start)
      let part = range.clamped(to: wanted)
      let into = target.slice(part.lowerBound - offset..<part.upperBound - offset)
      if part == range {
        inflate(bytes, into: into)
        continue
      }
      let buffer = whole ?? AlignedBuffer(capacity: header.blockBytes)
      whole = buffer
      inflate(bytes, into: buffer.bytes.slice(0..<range.count))
      let skipped = part.lowerBound - range.lowerBound
      into.copyMemory(
        from: UnsafeRawBufferPointer(buffer.bytes.slice(skipped..<skipped + part.count)))
    }
  }
}
