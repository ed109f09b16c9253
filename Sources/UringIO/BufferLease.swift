/// Keeps received bytes where the kernel put them, beyond the call that delivered them: see
/// `EventLoop.lease`. Used and dropped on the loop's thread. While it lives, its block stays
/// allocated (of `EventLoopOptions.receiveBufferBytes`, on epoll of `readinessBufferBytes`), so
/// keep few, and copy what is small.
package struct BufferLease: ~Copyable {
  package let bytes: UnsafeRawBufferPointer
  private let block: Block
  private let blocks: LoopBlocks

  init(bytes: UnsafeRawBufferPointer, block: Block, blocks: LoopBlocks) {
    self.bytes = bytes
    self.block = block
    self.blocks = blocks
    block.hold()
  }

  deinit { blocks.received.release(block) }
}

extension EventLoop {
  /// Takes a lease on `bytes`, which must be (part of) what an `onReceive` is being called with
  /// now; nil for any other bytes, and on a loop without receive buffers: copy them then.
  package func lease(_ bytes: UnsafeRawBufferPointer) -> BufferLease? {
    guard let block = receiveBuffers?.block(of: bytes) else { return nil }
    return BufferLease(bytes: bytes, block: block, blocks: blocks)
  }
}
