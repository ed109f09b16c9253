import CURing
import Glibc

/// Buffers picked when bytes arrive, shared by all sockets of a loop: an idle connection holds
/// none. With a ring the kernel picks, without one the loop does. Nil on kernels without buffer
/// rings (before 5.19).
final class ReceiveBuffers {
  let bufferBytes: Int
  private let count: Int
  private let memory: UnsafeMutableRawPointer
  private let ring: UnsafeMutablePointer<io_uring_buf_ring>?
  /// Those free, where there is no ring.
  private var free: ContiguousArray<Int> = []

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

  /// Without a ring.
  init?(count: Int, bufferBytes: Int) {
    guard count > 0 else { return nil }
    ring = nil
    memory = .allocate(byteCount: count * bufferBytes, alignment: 4_096)
    self.count = count
    self.bufferBytes = bufferBytes
    free = ContiguousArray((0..<count).reversed())
  }

  /// To be called after the ring is closed.
  deinit {
    if let ring {
      kfm_buffers_free(ring, UInt32(count), UInt32(bufferBytes))
    } else {
      memory.deallocate()
    }
  }

  func bytes(_ index: Int, count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory + index * bufferBytes, count: count)
  }

  /// Takes a free buffer, the one last given back first: it is in the cache.
  func take() -> Int? { free.popLast() }

  func space(_ index: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: memory + index * bufferBytes, count: bufferBytes)
  }

  /// Gives a buffer back.
  func recycle(_ index: Int) {
    guard let ring else { return free.append(index) }
    io_uring_buf_ring_add(
      ring, memory + index * bufferBytes, UInt32(bufferBytes), UInt16(index),
      io_uring_buf_ring_mask(UInt32(count)), 0)
    io_uring_buf_ring_advance(ring, 1)
  }
}
