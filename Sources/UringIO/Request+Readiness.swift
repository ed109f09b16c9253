import CLinux
import CURing
import Glibc

/// A request as `Epoll` performs it.
extension Request {
  /// What it waits for until it can be performed, in the bits of poll(2).
  var interest: UInt32 {
    switch self {
    case .accept, .receive, .receiveOnce, .receiveInto: UInt32(POLLIN)
    case .connect, .send, .sendMessage: UInt32(POLLOUT)
    case .poll(_, let events): events
    case .wake: UInt32(POLLIN) | KFM_EPOLL_EDGE
    case .read, .write, .sync: 0
    }
  }

  var watchedDescriptor: Int32 {
    switch self {
    case .accept(let descriptor, _), .connect(let descriptor, _, _), .receive(let descriptor),
      .receiveOnce(let descriptor), .receiveInto(let descriptor, _), .send(let descriptor, _),
      .sendMessage(let descriptor, _),
      .read(let descriptor, _, _), .write(let descriptor, _, _), .sync(let descriptor),
      .poll(let descriptor, _), .wake(let descriptor):
      descriptor
    }
  }

  /// Sends from `progress` on until all is sent (its count), sending fails (what was sent before,
  /// or a negative errno), or the kernel takes no more for now (nil).
  func send(from progress: inout Int) -> Int32? {
    let total = min(sendCount, Self.sendBytesMax)
    while progress < total {
      let count = sendOnce(from: progress, total: total)
      if count >= 0 {
        progress += count
      } else if errno == EAGAIN {
        return nil
      } else if errno != EINTR {
        return progress > 0 ? Int32(progress) : -errno
      }
    }
    return Int32(progress)
  }

  /// A result is an Int32.
  private static let sendBytesMax = 1 << 30

  private var sendCount: Int {
    switch self {
    case .send(_, let bytes): bytes.count
    case .sendMessage(_, let message):
      (0..<Int(message.pointee.msg_iovlen)).reduce(0) { $0 + message.pointee.msg_iov[$1].iov_len }
    default: 0
    }
  }

  private func sendOnce(from progress: Int, total: Int) -> Int {
    let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
    switch self {
    case .send(let descriptor, let bytes):
      return Glibc.send(descriptor, bytes.baseAddress! + progress, total - progress, flags)
    case .sendMessage(let descriptor, let message):
      guard progress > 0 else { return sendmsg(descriptor, message, flags) }
      return Self.sendRest(descriptor, message.pointee, from: progress, flags)
    default: return 0
    }
  }

  /// The kernel has taken `progress` bytes of the message.
  private static func sendRest(
    _ descriptor: Int32, _ message: msghdr, from progress: Int, _ flags: Int32
  ) -> Int {
    var message = message
    var skipped = progress
    while skipped >= message.msg_iov[0].iov_len {
      skipped -= message.msg_iov[0].iov_len
      message.msg_iov += 1
      message.msg_iovlen -= 1
    }
    if skipped == 0 { return sendmsg(descriptor, &message, flags) }
    // The rest of one piece, then the others in the next round.
    let piece = message.msg_iov[0]
    return Glibc.send(descriptor, piece.iov_base + skipped, piece.iov_len - skipped, flags)
  }
}
