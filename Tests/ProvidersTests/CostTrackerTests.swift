// Contract: money is exact integers, rounded half up per call; what is unknown is nil, never 0.
import Base
import Events
import Providers
import Testing

@Suite struct CostTrackerTests {
  private func usage(_ input: Int, _ output: Int, cached: Int = 0) -> Usage {
    var usage = Usage()
    usage.tokensIn = input
    usage.tokensOut = output
    usage.tokensCached = cached
    return usage
  }

  @Test(arguments: [
    (0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 0, 1), (3, 0, 0, 1), (4, 0, 0, 1), (5, 0, 0, 1),
    (6, 0, 0, 2), (1_000_000, 0, 0, 250_000), (0, 1_000_000, 0, 1_000_000), (7, 3, 0, 5),
    (1_000, 0, 1_000, 25), (1_000, 0, 5_000, 25), (1_000, 0, -4, 250), (-3, -3, 0, 0),
  ])
  func exact(_ input: Int, _ output: Int, _ cached: Int, _ micros: Int) {
    // 0.25 micro-units a token in, 1 out, 0.025 cached.
    let prices = ModelPrices(input: 250_000, output: 1_000_000, cached: 25_000)
    #expect(CostTracker.cost(of: usage(input, output, cached: cached), prices: prices) == micros)
  }

  @Test func cachedTokensCostAsInputWithoutAPriceOfTheirOwn() {
    let prices = ModelPrices(input: 2_000_000, output: 0)
    #expect(CostTracker.cost(of: usage(10, 0, cached: 5), prices: prices) == 20)
  }

  @Test func roundingIsHalfUpForEveryRemainder() {
    for price in 0..<2_000 {
      let cost = CostTracker.cost(
        of: usage(500, 0), prices: ModelPrices(input: price, output: 0))
      #expect(cost == Int((Double(500 * price) / 1e6 + 0.5).rounded(.down)))
    }
  }

  @Test func absurdNumbersAreUnknownInsteadOfATrap() {
    let prices = ModelPrices(input: .max, output: .max)
    #expect(CostTracker.cost(of: usage(.max, .max), prices: prices) == nil)
    var tracker = CostTracker()
    let dear = ModelPrices(input: .max, output: 0)
    for _ in 0..<3 { tracker.add(usage(900_000, 0), prices: dear) }
    #expect(tracker.usage.costMicros == nil)
  }

  @Test func callsAddUp() {
    var tracker = CostTracker()
    let prices = ModelPrices(input: 1_000_000, output: 2_000_000, currency: "EUR")
    var first = usage(10, 5)
    first.estimated = true
    first.providerTime = .milliseconds(7)
    var second = usage(20, 6, cached: 3)
    second.providerTime = .milliseconds(5)
    tracker.add(first, prices: prices)
    tracker.countRetry()
    tracker.add(second, prices: prices)
    let total = tracker.usage
    #expect(total.tokensIn == 30 && total.tokensOut == 11 && total.tokensCached == 3)
    #expect(total.costMicros == 52 && total.currency == "EUR" && total.estimated)
    #expect(total.retries == 1 && total.providerTime == .milliseconds(12))
  }

  @Test func oneUnknownPriceMakesTheSumUnknown() {
    let known = ModelPrices(input: 1_000_000, output: 0)
    var tracker = CostTracker()
    tracker.add(usage(10, 0), prices: known)
    #expect(tracker.usage.costMicros == 10)
    tracker.add(usage(10, 0), prices: nil)
    #expect(tracker.usage.costMicros == nil)
    tracker.add(usage(10, 0), prices: known)
    #expect(tracker.usage.costMicros == nil)
  }

  @Test func twoCurrenciesHaveNoSum() {
    var tracker = CostTracker()
    tracker.add(usage(10, 0), prices: ModelPrices(input: 1_000_000, output: 0))
    tracker.add(
      usage(10, 0), prices: ModelPrices(input: 1_000_000, output: 0, currency: "EUR"))
    #expect(tracker.usage.costMicros == nil)
  }

  @Test func nothingCalledIsUnknown() {
    #expect(CostTracker().usage.costMicros == nil)
  }

  @Test func estimates() {
    #expect(TokenEstimator.tokens(of: "") == 0)
    #expect(TokenEstimator.tokens(of: "a") == 1)
    #expect(TokenEstimator.tokens(of: "abcd") == 1)
    #expect(TokenEstimator.tokens(of: "abcde") == 2)
    #expect(TokenEstimator.tokens(of: "東京") == 2)
    #expect(TokenEstimator.tokens(of: "🦊") == 1)
    #expect(TokenEstimator.tokens(of: request("abcd")) == 4 + 3 + 4 + 1)
  }
}
