package import Base
package import Events

/// How often and how fast a step's call is made again (SURFACE, "Provider calls of a step").
package struct RetryPolicy: Sendable, Hashable {
  /// Calls of a step in all, whichever provider they go to (`engine.attempts_max`).
  package var attemptsMax = 3
  /// The first wait's upper bound; each further one doubles it. The wait itself is uniform below
  /// the bound (full jitter), so that the calls of many turns do not come back together.
  package var delayFirst = Nanoseconds.milliseconds(200)
  package var delayMax = Nanoseconds.seconds(10)
  /// What a server may ask us to wait; one that asks for more fails the call at once.
  package var retryAfterMax = Nanoseconds.seconds(10)

  package init() {}
}

/// One failed call, as a provider reports it.
package struct CallFailure: Sendable {
  package var failure: TurnFailure
  /// What the server asked for (`RetryAfter`).
  package var retryAfter: Nanoseconds?
  /// `x-should-retry`, where a server sends it: it decides instead of the failure's class.
  package var serverRetries: Bool?
  /// What the call is charged, with the time it took.
  package var usage: Usage

  package init(
    _ failure: TurnFailure, retryAfter: Nanoseconds? = nil, serverRetries: Bool? = nil,
    usage: Usage = Usage()
  ) {
    self.failure = failure
    self.retryAfter = retryAfter
    self.serverRetries = serverRetries
    self.usage = usage
  }
}

/// Decides what follows a failed call: the same provider again after a wait, the route's next one
/// at once, or the end. No clock and no I/O; the driver waits and calls.
package struct RetryHandler {
  package enum Decision: Equatable {
    case call(candidate: Int, after: Nanoseconds)
    case giveUp
  }

  private let policy: RetryPolicy
  private let candidateCount: Int
  private let fallbackCodes: Set<ErrorCode>
  private var attempts = 1
  private var candidate = 0
  /// Failures of the current candidate: its waits double, not the next one's.
  private var failuresHere = 0

  /// A step whose first call, to candidate 0, is being made.
  package init(policy: RetryPolicy, candidateCount: Int, fallbackCodes: Set<ErrorCode>) {
    precondition(candidateCount > 0, "a route without candidates is never called")
    self.policy = policy
    self.candidateCount = candidateCount
    self.fallbackCodes = fallbackCodes
  }

  package mutating func failed(_ call: CallFailure, random: any RandomSource) -> Decision {
    guard attempts < policy.attemptsMax else { return .giveUp }
    if candidate + 1 < candidateCount, fallbackCodes.contains(call.failure.code) {
      attempts += 1
      candidate += 1
      failuresHere = 0
      return .call(candidate: candidate, after: .zero)
    }
    guard call.serverRetries ?? call.failure.retryable else { return .giveUp }
    if let asked = call.retryAfter, asked > policy.retryAfterMax { return .giveUp }
    attempts += 1
    failuresHere += 1
    let wait = call.retryAfter ?? jitteredDelay(random)
    return .call(candidate: candidate, after: wait)
  }

  private func jitteredDelay(_ random: any RandomSource) -> Nanoseconds {
    var bound = policy.delayFirst.count
    for _ in 1..<failuresHere where bound < policy.delayMax.count { bound *= 2 }
    bound = min(bound, policy.delayMax.count)
    return Nanoseconds(Int64(Double(bound) * random.unit()))
  }
}
