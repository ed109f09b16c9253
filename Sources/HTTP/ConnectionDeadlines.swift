import Base

/// What a connection waits for, and since when. Told what happens and the time; keeps no clock.
struct ConnectionDeadlines {
  /// The deadline that has passed.
  enum Expired: Equatable {
    /// No request began.
    case idle
    case head
    case body
    /// The client takes nothing of what is queued for it.
    case send
    /// A refused client still sends, or does not close.
    case linger
  }

  private enum Wait {
    case firstRequest(since: Nanoseconds)
    case nextRequest(since: Nanoseconds)
    case head(since: Nanoseconds)
    case body(since: Nanoseconds, advanced: Nanoseconds)
    case answer
    case linger(since: Nanoseconds, advanced: Nanoseconds)
  }

  private let limits: HTTPLimits
  private var wait: Wait
  private var sentBytes = 0
  private var sentLast: Nanoseconds

  init(limits: HTTPLimits, now: Nanoseconds) {
    self.limits = limits
    wait = .firstRequest(since: now)
    sentLast = now
  }

  /// Part of a head came; only its first part starts the time.
  mutating func headAdvanced(_ now: Nanoseconds) {
    if case .head = wait { return }
    wait = .head(since: now)
  }

  mutating func bodyAdvanced(_ now: Nanoseconds) {
    if case .body(let since, _) = wait {
      wait = .body(since: since, advanced: now)
    } else {
      wait = .body(since: now, advanced: now)
    }
  }

  mutating func answerBegan() { wait = .answer }

  mutating func answerEnded(_ now: Nanoseconds) { wait = .nextRequest(since: now) }

  mutating func lingerAdvanced(_ now: Nanoseconds) {
    if case .linger(let since, _) = wait {
      wait = .linger(since: since, advanced: now)
    } else {
      wait = .linger(since: now, advanced: now)
    }
  }

  /// Tells how many bytes the kernel has taken since the connection began, and how many wait.
  mutating func sent(total: Int, queued: Int, _ now: Nanoseconds) {
    guard total != sentBytes || queued == 0 else { return }
    sentBytes = total
    sentLast = now
  }

  func expired(_ now: Nanoseconds) -> Expired? {
    if now - sentLast > limits.sendTimeout { return .send }
    switch wait {
    case .firstRequest(let since): return now - since > limits.headTimeout ? .idle : nil
    case .nextRequest(let since): return now - since > limits.idleTimeout ? .idle : nil
    case .head(let since): return now - since > limits.headTimeout ? .head : nil
    case .body(let since, let advanced):
      let isLate =
        now - advanced > limits.bodyIdleTimeout || now - since > limits.bodyTimeout
      return isLate ? .body : nil
    case .answer: return nil
    case .linger(let since, let advanced):
      let isLate = now - advanced > limits.lingerTimeout || now - since > limits.bodyTimeout
      return isLate ? .linger : nil
    }
  }
}
