import Base

/// The timeouts of one exchange as points of time. Told what happens and the time; keeps no clock.
struct ExchangeDeadlines {
  private enum Wait {
    case connected
    case firstByte
    case nextBytes
  }

  private let timeouts: HTTPTimeouts
  private let began: Nanoseconds
  private var wait = Wait.connected
  private var since: Nanoseconds

  init(_ timeouts: HTTPTimeouts, now: Nanoseconds) {
    self.timeouts = timeouts
    began = now
    since = now
  }

  /// The request is about to be sent. True when the next deadline may be an earlier one now.
  mutating func connected(_ now: Nanoseconds) -> Bool {
    guard wait == .connected else { return false }
    wait = .firstByte
    since = now
    return true
  }

  /// Bytes of the answer came. True when the next deadline may be an earlier one now.
  mutating func advanced(_ now: Nanoseconds) -> Bool {
    defer {
      wait = .nextBytes
      since = now
    }
    return wait != .nextBytes
  }

  /// The deadline that comes first, and what it stands for.
  var next: (time: Nanoseconds, phase: TransportFailure.Phase) {
    let total = began + timeouts.total
    let (time, phase): (Nanoseconds, TransportFailure.Phase) =
      switch wait {
      case .connected: (since + timeouts.connect, .connect)
      case .firstByte: (since + timeouts.firstByte, .firstByte)
      case .nextBytes: (since + timeouts.idle, .idle)
      }
    return total < time ? (total, .total) : (time, phase)
  }
}
