// Contract: at most `attemptsMax` calls in all; waits double with full jitter; a server's wish
// is honoured up to 10 s and ends the call above that; only what may succeed later is tried again;
// a route's next candidate comes first where its classes say so.
import Base
import Events
import Providers
import TestSupport
import Testing

@Suite struct RetryAfterTests {
  /// 2026-01-01T00:00:00Z
  private let now = Timestamp(microseconds: 1_767_225_600_000_000)

  @Test(
    arguments: [
      (nil, "5", 5_000), (nil, " 5 ", 5_000), (nil, "0", 0), (nil, "1.5", 1_500),
      ("250", nil, 250), ("0.5", nil, 0), ("250", "9", 250), ("junk", "9", 9_000),
      (nil, "Thu, 01 Jan 2026 00:00:07 GMT", 7_000), (nil, "Wed, 31 Dec 2025 23:59:00 GMT", 0),
      (nil, "3600", 3_600_000),
    ] as [(String?, String?, Int64)])
  func readable(_ milliseconds: String?, _ value: String?, _ expected: Int64) {
    let wait = RetryAfter.parse(milliseconds: milliseconds, value: value, now: now)
    #expect(wait?.milliseconds == expected)
  }

  @Test(arguments: [
    "", " ", "-1", "soon", "1e9", "0x10", "99999999999999999999", "..", "1.2.3", "NaN", "inf",
    "Thu, 32 Jan 2026 00:00:07 GMT", "Thu, 01 Foo 2026 00:00:07 GMT",
    "Thu, 01 Jan 2026 00:00:07 CET", "Thursday, 01-Jan-26 00:00:07 GMT", "Thu, 1 Jan 2026",
  ])
  func nonsenseIsIgnored(_ value: String) {
    #expect(RetryAfter.parse(milliseconds: nil, value: value, now: now) == nil)
    #expect(RetryAfter.parse(milliseconds: value, value: nil, now: now) == nil)
  }

  @Test func absentIsNil() {
    #expect(RetryAfter.parse(milliseconds: nil, value: nil, now: now) == nil)
  }
}

@Suite struct RetryHandlerTests {
  private func handler(_ candidates: Int = 1, _ codes: Set<ErrorCode> = []) -> RetryHandler {
    RetryHandler(policy: RetryPolicy(), candidateCount: candidates, fallbackCodes: codes)
  }

  private func failure(_ code: ErrorCode, after: Nanoseconds? = nil, server: Bool? = nil)
    -> CallFailure
  {
    CallFailure(TurnFailure(code, ""), retryAfter: after, serverRetries: server)
  }

  @Test func everyCodeIsTriedAgainExactlyWhenItIsRetryable() {
    let random = SeededRandom(seed: 1)
    for code in ErrorCode.allCases {
      var retries = handler()
      var calls = 1
      while calls < 10, case .call = retries.failed(failure(code), random: random) { calls += 1 }
      #expect(calls == (code.retryable ? 3 : 1), "\(code)")
    }
  }

  /// Without a rule of its own a route goes on with its next model after whatever would be tried
  /// again and is the provider's fault; the request's own faults would meet the next one too.
  @Test func aRouteFallsBackAfterProvidersFaults() {
    let random = SeededRandom(seed: 2)
    for code in ErrorCode.allCases where code.rawValue.hasPrefix("provider_") {
      var retries = handler(2, RouteOptions.fallbackCodesDefault)
      let isFallback =
        retries.failed(failure(code), random: random)
        == .call(candidate: 1, after: .zero)
      #expect(isFallback == (code.retryable || code == .providerQuota), "\(code)")
    }
  }

  @Test func waitsDoubleWithFullJitter() {
    let random = SeededRandom(seed: 7)
    var longest: [Int: Nanoseconds] = [:]
    var shortest: [Int: Nanoseconds] = [:]
    for _ in 0..<2_000 {
      var policy = RetryPolicy()
      policy.attemptsMax = 9
      var retries = RetryHandler(policy: policy, candidateCount: 1, fallbackCodes: [])
      for call in 0..<8 {
        guard
          case .call(0, let wait) = retries.failed(
            failure(.providerUnavailable), random: random)
        else { return #expect(Bool(false), "gave up early") }
        longest[call] = max(longest[call] ?? .zero, wait)
        shortest[call] = min(shortest[call] ?? wait, wait)
      }
    }
    for call in 0..<8 {
      let bound = min(0.2 * Double(1 << call), 10)
      #expect(longest[call]!.seconds <= bound)
      #expect(longest[call]!.seconds > 0.98 * bound)
      #expect(shortest[call]!.seconds < 0.02 * bound)
    }
  }

  @Test func aServersWishIsHonouredUpToTenSeconds() {
    let random = SeededRandom(seed: 1)
    for (asked, decision) in [
      (Nanoseconds.zero, RetryHandler.Decision.call(candidate: 0, after: .zero)),
      (.seconds(3), .call(candidate: 0, after: .seconds(3))),
      (.seconds(10), .call(candidate: 0, after: .seconds(10))),
      (Nanoseconds(10_000_000_001), .giveUp), (.seconds(3_600), .giveUp),
    ] {
      var retries = handler()
      #expect(
        retries.failed(failure(.providerRateLimited, after: asked), random: random) == decision)
    }
  }

  @Test func aServerDecidesAgainstTheClass() {
    let random = SeededRandom(seed: 1)
    var never = handler()
    let refused = never.failed(failure(.providerUnavailable, server: false), random: random)
    #expect(refused == .giveUp)
    var again = handler()
    let invited = again.failed(failure(.providerInvalidRequest, server: true), random: random)
    #expect(invited != .giveUp)
  }

  @Test func theNextCandidateIsCalledAtOnceAndTheLastOneIsTriedAgain() {
    let random = SeededRandom(seed: 1)
    var retries = handler(2, [.providerOverloaded, .providerQuota])
    let first = retries.failed(failure(.providerQuota, after: .seconds(99)), random: random)
    #expect(first == .call(candidate: 1, after: .zero))
    guard case .call(1, _) = retries.failed(failure(.providerOverloaded), random: random) else {
      return #expect(Bool(false), "the last candidate is not tried again")
    }
    #expect(retries.failed(failure(.providerOverloaded), random: random) == .giveUp)
  }

  @Test func aClassThatIsNoFallbackStaysWithItsProvider() {
    let random = SeededRandom(seed: 1)
    var retries = handler(2, [.providerOverloaded])
    guard case .call(0, _) = retries.failed(failure(.providerTimeout), random: random) else {
      return #expect(Bool(false), "left its provider")
    }
    var fatal = handler(2, [.providerOverloaded])
    #expect(fatal.failed(failure(.providerInvalidRequest), random: random) == .giveUp)
  }
}
