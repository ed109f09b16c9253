import Glibc

/// What a vectored send points at; it must not move while the kernel reads it.
final class SendMessage {
  /// To be filled with what is to be sent.
  let pieces: UnsafeMutableBufferPointer<iovec>
  private let message: UnsafeMutablePointer<msghdr>

  /// Pieces of one send: with the blocks' size more bytes than a socket takes at once.
  private static let piecesMax = 16

  init() {
    pieces = .allocate(capacity: Self.piecesMax)
    message = .allocate(capacity: 1)
    message.initialize(to: msghdr())
  }

  deinit {
    pieces.deallocate()
    message.deallocate()
  }

  /// The message of the first `count` pieces.
  func header(pieces count: Int) -> UnsafePointer<msghdr> {
    message.pointee.msg_iov = pieces.baseAddress
    message.pointee.msg_iovlen = count
    return UnsafePointer(message)
  }
}
