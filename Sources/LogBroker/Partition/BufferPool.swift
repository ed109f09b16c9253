import Events

/// Read buffers of one size, handed out as shared bytes and taken back when nobody reads them.
final class BufferPool {
  private var free: [UnsafeMutableRawBufferPointer] = []

  deinit { for buffer in free { buffer.deallocate() } }

  /// A buffer of at least `count` bytes.
  func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if count <= LogLimits.readBytes, let buffer = free.popLast() { return buffer }
    return .allocate(byteCount: max(count, LogLimits.readBytes), alignment: LogLimits.blockBytes)
  }

  /// `buffer` and who reads it; it comes back when the last reader lets go.
  func share(_ buffer: UnsafeMutableRawBufferPointer) -> SharedBytes {
    SharedBytes(UnsafeRawBufferPointer(buffer)) { [self] _ in giveBack(buffer) }
  }

  func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
    if buffer.count == LogLimits.readBytes, free.count < LogLimits.readBuffersKept {
      free.append(buffer)
    } else {
      buffer.deallocate()
    }
  }
}
