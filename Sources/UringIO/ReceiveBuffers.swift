import CURing
import Glibc

/// Buffers picked when bytes arrive, shared by all sockets of a loop: an idle connection holds
/// none. With a ring the kernel picks, without one the loop does. Nil on kernels without buffer
/// rings (before 5.19).
///
/// A buffer is a block of the loop's pool. One whose bytes somebody keeps (a send queue, a lease)
/// is replaced by a fresh block under the same number, so that there are always all of them to
/// pick from: a peer that does not read its answers starves nobody else.
final class ReceiveBuffers {
  private let count: Int
  private let ring: UnsafeMutablePointer<io_uring_buf_ring>?
  private let pool: BlockPool
  /// By buffer number.
  private let buffers: UnsafeMutablePointer<Block>
  /// Those free, where there is no ring.
  private var free: ContiguousArray<Int> = []
  /// What is being delivered now.
  private var delivered: (block: Block, bytes: UnsafeRawBufferPointer)?

  init?(ring pointer: UnsafeMutablePointer<io_uring>, count: Int, pool: BlockPool) {
    var failure: Int32 = 0
    guard count > 0, let ring = kfm_buffers_setup(pointer, UInt32(count), &failure) else {
      return nil
    }
    self.ring = ring
    self.count = count
    self.pool = pool
    buffers = .allocate(capacity: count)
    fill()
  }

  /// Without a ring.
  init?(count: Int, pool: BlockPool) {
    guard count > 0 else { return nil }
    ring = nil
    self.count = count
    self.pool = pool
    buffers = .allocate(capacity: count)
    fill()
  }

  /// To be called after the ring is closed.
  deinit {
    if let ring { kfm_buffers_free(ring, UInt32(count)) }
    for index in 0..<count { pool.release(buffers[index]) }
    buffers.deallocate()
  }

  private func fill() {
    for index in (0..<count).reversed() {
      (buffers + index).initialize(to: pool.take())
      offer(index)
    }
  }

  /// The bytes of a completion; `recycle` follows, when they are delivered.
  func bytes(_ index: Int, count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: buffers[index].start, count: count)
  }

  func block(_ index: Int) -> Block { buffers[index] }

  /// Takes a free buffer, the one last given back first: it is in the cache.
  func take() -> Int? { free.popLast() }

  func space(_ index: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: buffers[index].start, count: pool.blockBytes)
  }

  /// Calls `body` with `bytes` of `block`, which it may keep: see `block(of:)`.
  func deliver(
    _ bytes: UnsafeRawBufferPointer, of block: Block, to body: (UnsafeRawBufferPointer) -> Void
  ) {
    delivered = (block, bytes)
    body(bytes)
    delivered = nil
  }

  /// Gives a buffer back, or another one in its place.
  func recycle(_ index: Int) {
    let block = buffers[index]
    if block.isShared {
      pool.release(block)
      buffers[index] = pool.take()
    }
    offer(index)
  }

  /// The block of bytes that are being delivered now; nil for any other bytes.
  func block(of bytes: UnsafeRawBufferPointer) -> Block? {
    guard let delivered, let start = bytes.baseAddress, let base = delivered.bytes.baseAddress,
      start >= base, start + bytes.count <= base + delivered.bytes.count
    else { return nil }
    return delivered.block
  }

  private func offer(_ index: Int) {
    guard let ring else { return free.append(index) }
    io_uring_buf_ring_add(
      ring, buffers[index].start, UInt32(pool.blockBytes), UInt16(index),
      io_uring_buf_ring_mask(UInt32(count)), 0)
    io_uring_buf_ring_advance(ring, 1)
  }
}
