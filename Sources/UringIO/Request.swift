import Glibc

/// What a client asks the kernel for, as a value: a back-end turns it into a submission entry, or
/// waits for readiness and makes the system call itself. What it points at must live until the
/// last completion.
enum Request {
  /// Accepts until it fails or is cancelled, one completion a connection; `single` ends after one.
  case accept(descriptor: Int32, single: Bool)
  case connect(descriptor: Int32, address: UnsafePointer<sockaddr>, length: socklen_t)
  /// Receives into buffers of the loop's pool until it fails, ends or is cancelled; a completion
  /// with bytes carries the number of its buffer. Ends with ENOBUFS when no buffer is free.
  case receive(descriptor: Int32)
  /// Receives once, into the caller's buffer.
  case receiveInto(descriptor: Int32, buffer: UnsafeMutableRawBufferPointer)
  /// Sends all of it, short only when it fails in between.
  case send(descriptor: Int32, bytes: UnsafeRawBufferPointer)
  /// The same with several pieces.
  case sendMessage(descriptor: Int32, message: UnsafePointer<msghdr>)
  case read(descriptor: Int32, buffer: UnsafeMutableRawBufferPointer, offset: UInt64)
  /// No pieces: completes at once with 0.
  case write(descriptor: Int32, pieces: UnsafeBufferPointer<iovec>, offset: UInt64)
  /// fdatasync.
  case sync(descriptor: Int32)
  /// Completes once with what holds, as soon as one of `events`, an error or a hang-up does.
  case poll(descriptor: Int32, events: UInt32)
  /// Completes each time the eventfd is written to; its count is never read.
  case wake(descriptor: Int32)

  var operation: Operation {
    switch self {
    case .accept: .accept
    case .connect: .connect
    case .receive, .receiveInto: .receive
    case .send, .sendMessage: .send
    case .read: .read
    case .write: .write
    case .sync: .sync
    case .poll, .wake: .poll
    }
  }
}

/// What a completion says besides its result; the bits are the kernel's, so that the ring's go
/// through as they are.
struct CompletionFlags: OptionSet {
  let rawValue: UInt32

  /// `result` bytes are in the pool's buffer `bufferIndex`.
  static let hasBuffer = CompletionFlags(rawValue: 1 << 0)
  /// More completions of the same operation follow.
  static let more = CompletionFlags(rawValue: 1 << 1)

  var bufferIndex: Int { Int(rawValue >> Self.bufferShift) }

  static let bufferShift: UInt32 = 16
}
