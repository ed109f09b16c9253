/// A block of memory that several may hold: a buffer the kernel received into, and the send
/// queues its bytes were put into without a copy. Holders are counted by hand, on the loop's
/// thread: an object per block would cost an allocation and atomic counting for each receive.
struct Block {
  /// The block's first byte; the count of holders stands before it.
  let start: UnsafeMutableRawPointer

  fileprivate static let headBytes = 16

  fileprivate var holders: Int {
    get { (start - Self.headBytes).load(as: Int.self) }
    nonmutating set { (start - Self.headBytes).storeBytes(of: newValue, as: Int.self) }
  }

  /// Somebody besides the caller holds it.
  var isShared: Bool { holders > 1 }

  func hold() { holders += 1 }
}

/// Equal blocks, reused last in, first out: the one given back last is still in the cache.
final class BlockPool {
  let blockBytes: Int
  /// Blocks that somebody holds.
  private(set) var held = 0
  private let spares: UnsafeMutablePointer<Block>
  private let sparesMax: Int
  private var spareCount = 0

  /// `sparesMax`: how many unused blocks are kept rather than given back to the system.
  init(blockBytes: Int, sparesMax: Int) {
    self.blockBytes = blockBytes
    self.sparesMax = sparesMax
    spares = .allocate(capacity: sparesMax)
  }

  /// Nobody may hold a block any more.
  deinit {
    while spareCount > 0 { free(popSpare()) }
    spares.deallocate()
  }

  /// A block with one holder: the caller.
  func take() -> Block {
    let block = spareCount > 0 ? popSpare() : allocate()
    block.holders = 1
    held += 1
    return block
  }

  /// The caller holds it no longer.
  func release(_ block: Block) {
    let left = block.holders - 1
    block.holders = left
    guard left == 0 else { return }
    held -= 1
    guard spareCount < sparesMax else { return free(block) }
    (spares + spareCount).initialize(to: block)
    spareCount += 1
  }

  private func popSpare() -> Block {
    spareCount -= 1
    return spares[spareCount]
  }

  private func allocate() -> Block {
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: Block.headBytes + blockBytes, alignment: 16)
    return Block(start: memory + Block.headBytes)
  }

  private func free(_ block: Block) { (block.start - Block.headBytes).deallocate() }
}

/// The blocks of one loop, for what its sockets receive and send.
package final class LoopBlocks {
  /// Receive buffers; the same pool as `large` where they have its size.
  let received: BlockPool
  /// Bytes queued for sending.
  let large: BlockPool
  /// A few bytes queued for sending, as most messages are: ten thousand connections with one
  /// small message each in the queue must not hold a large block each.
  let small: BlockPool

  /// The size of a small block.
  package static let smallBytes = 2_048
  private static let smallSparesMax = 256
  private static let receivedSparesMax = 16

  package init(largeBytes: Int, sparesMax: Int, receivedBytes: Int? = nil) {
    large = BlockPool(blockBytes: largeBytes, sparesMax: sparesMax)
    small = BlockPool(blockBytes: Self.smallBytes, sparesMax: Self.smallSparesMax)
    received =
      receivedBytes.map { BlockPool(blockBytes: $0, sparesMax: Self.receivedSparesMax) } ?? large
  }

  /// From this size on received bytes are kept in their buffer; a few bytes are not worth a block.
  var lentBytesMin: Int { received.blockBytes / 8 }

  /// Blocks that somebody holds: receive buffers, leases, and pieces of send queues.
  package var held: Int { pools.reduce(0) { $0 + $1.held } }
  package var heldBytes: Int { pools.reduce(0) { $0 + $1.held * $1.blockBytes } }

  private var pools: [BlockPool] {
    received === large ? [large, small] : [received, large, small]
  }
}
