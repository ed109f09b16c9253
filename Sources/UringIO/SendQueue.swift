package import Glibc

/// Bytes on their way to one socket, in pieces that each stay where they are until `advance` has
/// passed them: the kernel may be reading them. Small ones are copied together; large arrays and
/// received buffers are kept as they are. Its memory comes from the loop's blocks.
package struct SendQueue: ~Copyable {
  package private(set) var bytes = 0
  /// Pieces queued: what a vectored send hands over one by one.
  package private(set) var count = 0
  private let blocks: LoopBlocks
  /// A ring, its size a power of two: the piece in front is at `head`.
  private var pieces: UnsafeMutableBufferPointer<Piece>
  private var head = 0

  /// Bytes that stay where they are, and what keeps them there: an array or a block.
  struct Piece {
    fileprivate var start: UnsafeRawPointer
    fileprivate var count: Int
    /// Bytes that can still be appended where the piece ends.
    fileprivate var room = 0
    fileprivate var array: [UInt8] = []
    fileprivate var block: Block?
    fileprivate var source = Source.large

    /// The pool its block comes from.
    fileprivate enum Source { case small, large, received }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// The receive buffer its bytes lie in.
    var receivedBlock: Block? { source == .received ? block : nil }
  }

  /// From this size on an array is kept, below it is copied to the others, so that they leave as
  /// one piece.
  package static let adoptedBytesMin = 4_096

  package init(blocks: LoopBlocks) {
    self.blocks = blocks
    pieces = UnsafeMutableBufferPointer(start: nil, count: 0)
  }

  deinit {
    for index in 0..<count {
      let piece = (pieces.baseAddress! + (head + index) & (pieces.count - 1)).move()
      Self.release(piece, blocks)
    }
    pieces.deallocate()
  }

  package var isEmpty: Bool { bytes == 0 }

  /// Takes the array over.
  package mutating func append(_ array: [UInt8]) {
    guard array.count >= Self.adoptedBytesMin else {
      return array.withUnsafeBytes { append(copying: $0) }
    }
    // Good as long as the queue holds the array: nobody else writes to it, so it does not move.
    let start = array.withUnsafeBytes { $0.baseAddress! }
    push(Piece(start: start, count: array.count, array: array))
  }

  package mutating func append(copying bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest)
      rest = rest.dropFirst(appendToLast(part))
      if !rest.isEmpty { pushBlock(for: rest.count) }
    }
  }

  /// Queues bytes of a receive buffer, which is held until they are sent.
  mutating func append(_ bytes: UnsafeRawBufferPointer, of block: Block) {
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
    block.hold()
    push(Piece(start: start, count: bytes.count, block: block, source: .received))
  }

  /// The piece in front; nil when there is none.
  package var front: UnsafeRawBufferPointer? {
    guard count > 0 else { return nil }
    let piece = pieces.baseAddress! + head
    return piece.pointee.bytes
  }

  /// Takes the piece in front out; `release` it when its bytes are done with.
  mutating func takeFront() -> Piece? {
    guard count > 0 else { return nil }
    let piece = (pieces.baseAddress! + head).move()
    head = (head + 1) & (pieces.count - 1)
    count -= 1
    bytes -= piece.count
    return piece
  }

  /// Fills `list` with the pieces in front; returns how many there are.
  package func gather(into list: UnsafeMutableBufferPointer<iovec>) -> Int {
    let filled = min(count, list.count)
    for index in 0..<filled {
      let piece = pieces.baseAddress! + (head + index) & (pieces.count - 1)
      list[index] = iovec(
        iov_base: UnsafeMutableRawPointer(mutating: piece.pointee.start),
        iov_len: piece.pointee.count)
    }
    return filled
  }

  /// The kernel has taken `sent` bytes, which may be the whole of some pieces.
  package mutating func advance(_ sent: Int) {
    var left = sent
    while left > 0 {
      let piece = pieces.baseAddress! + head
      guard left >= piece.pointee.count else {
        piece.pointee.start += left
        piece.pointee.count -= left
        bytes -= left
        return
      }
      left -= piece.pointee.count
      if let piece = takeFront() { Self.release(piece, blocks) }
    }
  }

  /// Drops everything but the first `kept` pieces, which the kernel reads now.
  package mutating func drop(keeping kept: Int) {
    while count > kept {
      count -= 1
      let last = (pieces.baseAddress! + (head + count) & (pieces.count - 1)).move()
      bytes -= last.count
      Self.release(last, blocks)
    }
  }

  /// Appends what fits behind the last piece; returns how much that is.
  private mutating func appendToLast(_ part: UnsafeRawBufferPointer) -> Int {
    guard count > 0 else { return 0 }
    let last = pieces.baseAddress! + (head + count - 1) & (pieces.count - 1)
    let fits = min(part.count, last.pointee.room)
    guard fits > 0, let source = part.baseAddress else { return 0 }
    // Behind what the kernel may be reading.
    UnsafeMutableRawPointer(mutating: last.pointee.start + last.pointee.count)
      .copyMemory(from: source, byteCount: fits)
    last.pointee.count += fits
    last.pointee.room -= fits
    bytes += fits
    return fits
  }

  private mutating func pushBlock(for wanted: Int) {
    let isSmall = count == 0 && wanted <= LoopBlocks.smallBytes
    let pool = isSmall ? blocks.small : blocks.large
    let block = pool.take()
    push(
      Piece(
        start: block.start, count: 0, room: pool.blockBytes, block: block,
        source: isSmall ? .small : .large))
  }

  private mutating func push(_ piece: consuming Piece) {
    if count == pieces.count { grow() }
    bytes += piece.count
    (pieces.baseAddress! + (head + count) & (pieces.count - 1)).initialize(to: piece)
    count += 1
  }

  static func release(_ piece: Piece, _ blocks: LoopBlocks) {
    guard let block = piece.block else { return }
    switch piece.source {
    case .small: blocks.small.release(block)
    case .large: blocks.large.release(block)
    case .received: blocks.received.release(block)
    }
  }

  /// Kept for as long as the queue lives: growing is no part of the steady state.
  private mutating func grow() {
    let larger = UnsafeMutableBufferPointer<Piece>.allocate(
      capacity: max(Self.piecesMin, pieces.count * 2))
    for index in 0..<count {
      (larger.baseAddress! + index).moveInitialize(
        from: pieces.baseAddress! + (head + index) & (pieces.count - 1), count: 1)
    }
    pieces.deallocate()
    pieces = larger
    head = 0
  }

  private static let piecesMin = 4
}
