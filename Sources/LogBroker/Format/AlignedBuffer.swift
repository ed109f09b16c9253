/// Memory that begins at a page, as large writes want it. Grows on demand.
final class AlignedBuffer {
  private(set) var bytes: UnsafeMutableRawBufferPointer

  init(capacity: Int) { bytes = Self.allocate(capacity) }

  deinit { bytes.deallocate() }

  /// Makes room for `capacity` bytes; what was inside is lost.
  func reserve(_ capacity: Int) {
    guard capacity > bytes.count else { return }
    bytes.deallocate()
    bytes = Self.allocate(capacity)
  }

  /// Gives memory beyond `capacity` back; what was inside is lost.
  func shrink(to capacity: Int) {
    guard bytes.count > capacity else { return }
    bytes.deallocate()
    bytes = Self.allocate(capacity)
  }

  private static func allocate(_ capacity: Int) -> UnsafeMutableRawBufferPointer {
    .allocate(byteCount: capacity, alignment: LogLimits.blockBytes)
  }
}
