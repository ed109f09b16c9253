// Iggy's wire format and our frames on disk are little-endian without alignment.

extension UnsafeRawBufferPointer {
  /// The integer at `offset`; the caller has checked the bounds.
  @inline(__always)
  package func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int, as type: T.Type = T.self
  ) -> T {
    T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  @inline(__always)
  package func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: self[range])
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Writes `value` at `offset`; the caller has checked the bounds.
  @inline(__always)
  package func storeLittleEndian<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, at offset: Int
  ) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }

  @inline(__always)
  package func slice(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: self[range])
  }

  /// Copies all of `source` to `offset`; the caller has checked the bounds.
  @inline(__always)
  package func copy(_ source: UnsafeRawBufferPointer, to offset: Int) {
    guard !source.isEmpty else { return }
    (baseAddress! + offset).copyMemory(from: source.baseAddress!, byteCount: source.count)
  }
}
