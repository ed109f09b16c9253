import CURing
import Glibc

/// Buffers the kernel picks from when bytes arrive, shared by all sockets of a loop: an idle
/// connection holds none. Nil on kernels without buffer rings (before 5.19).
final class ReceiveBuffers {
  let bufferBytes: Int
  private let count: Int
  private let ring: UnsafeMutablePointer<io_uring_buf_ring>
  private let memory: UnsafeMutableRawPointer

  init?(ring pointer: UnsafeMutablePointer<io_uring>, count: Int, bufferBytes: Int) {
    var memory: UnsafeMutableRawPointer?
    var failure: Int32 = 0
    guard count > 0,
      let ring = kfm_buffers_setup(
        pointer, UInt32(count), UInt32(bufferBytes), &memory, &failure),
      let memory
    else { return nil }
    self.ring = ring
    self.memory = memory
    self.count = count
    self.bufferBytes = bufferBytes
  }

  /// To be called after the ring is closed.
  deinit { kfm_buffers_free(ring, UInt32(count), UInt32(bufferBytes)) }

  func bytes(_ index: Int, count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory + index * bufferBytes, count: count)
  }

  /// Gives a buffer back to the kernel.
  func recycle(_ index: Int) {
    io_uring_buf_ring_add(
      ring, memory + index * bufferBytes, UInt32(bufferBytes), UInt16(index),
      io_uring_buf_ring_mask(UInt32(count)), 0)
    io_uring_buf_ring_advance(ring, 1)
  }
}
