import Base
import Events

/// Read buffers of one size, handed out as shared bytes and taken back when nobody reads them.
final class BufferPool {
  private var free: [UnsafeMutableRawBufferPointer] = []
  /// Of buffers that somebody has.
  private(set) var leasedBytes = 0
  private let metrics: LogMetrics

  init(metrics: LogMetrics) { self.metrics = metrics }

  deinit { for buffer in free { buffer.deallocate() } }

  /// A buffer of at least `count` bytes.
  func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
    let buffer =
      count <= LogLimits.readBytes && !free.isEmpty
      ? free.removeLast()
      : .allocate(byteCount: max(count, LogLimits.readBytes), alignment: LogLimits.blockBytes)
    note(buffer.count)
    return buffer
  }

  private func note(_ change: Int) {
    leasedBytes += change
    metrics.leasedBytes.set(leasedBytes)
  }

  /// `buffer` and who reads it; it comes back when the last reader lets go.
  func share(_ buffer: UnsafeMutableRawBufferPointer) -> SharedBytes {
    SharedBytes(UnsafeRawBufferPointer(buffer)) { [self] _ in giveBack(buffer) }
  }

  func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
    note(-buffer.count)
    if buffer.count == LogLimits.readBytes, free.count < LogLimits.readBuffersKept {
      free.append(buffer)
    } else {
      buffer.deallocate()
    }
  }
}
