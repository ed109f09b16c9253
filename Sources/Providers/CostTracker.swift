import Base
package import Events

/// Prices in micro-units of `currency` per million tokens. Prices change weekly, so they are
/// configuration and never constants here.
package struct ModelPrices: Sendable, Hashable {
  package var input: Int
  package var output: Int
  /// For the part of the input that the provider had in its cache; nil charges it as input.
  package var cached: Int?
  package var currency: String

  package init(input: Int, output: Int, cached: Int? = nil, currency: String = "USD") {
    self.input = input
    self.output = output
    self.cached = cached
    self.currency = currency
  }

  /// What a model on one's own machine costs.
  package static let free = ModelPrices(input: 0, output: 0)
}

/// Adds up what the calls of one step used and cost. Money is integers: micro-units, each call
/// rounded half up. A cost that cannot be known is nil, never zero.
package struct CostTracker {
  package private(set) var usage = Usage()
  private var costMicros = 0
  private var costIsKnown = true

  package init() {}

  /// Adds a call. `prices` is nil when nobody configured the model's price; then the whole cost is
  /// unknown from here on, also when the call was charged nothing, so that a receipt never says 0
  /// for a model without a price.
  package mutating func add(_ call: Usage, prices: ModelPrices?) {
    let usedBefore = usage.tokensIn + usage.tokensOut
    usage.tokensIn += call.tokensIn
    usage.tokensOut += call.tokensOut
    usage.tokensCached += call.tokensCached
    usage.estimated = usage.estimated || call.estimated
    usage.providerTime = usage.providerTime + call.providerTime
    addCost(of: call, prices: prices, usedBefore: usedBefore)
    usage.costMicros = costIsKnown ? costMicros : nil
  }

  package mutating func countRetry() { usage.retries += 1 }

  private mutating func addCost(of call: Usage, prices: ModelPrices?, usedBefore: Int) {
    guard let prices, let cost = Self.cost(of: call, prices: prices) else {
      costIsKnown = false
      return
    }
    // Two currencies have no sum. A call that used nothing settles no currency.
    if costMicros != 0, usedBefore > 0, prices.currency != usage.currency {
      costIsKnown = false
      return
    }
    usage.currency = prices.currency
    let (sum, overflow) = costMicros.addingReportingOverflow(cost)
    costIsKnown = costIsKnown && !overflow
    costMicros = overflow ? costMicros : sum
  }

  /// Micro-units of one call, half up; nil when they do not fit 64 bits.
  package static func cost(of call: Usage, prices: ModelPrices) -> Int? {
    let cached = min(max(call.tokensCached, 0), max(call.tokensIn, 0))
    let parts: [(tokens: Int, price: Int)] = [
      (max(call.tokensIn, 0) - cached, prices.input),
      (cached, prices.cached ?? prices.input),
      (max(call.tokensOut, 0), prices.output),
    ]
    let total = parts.reduce(Int128(0)) { $0 + Int128($1.tokens) * Int128($1.price) }
    return Int(exactly: (total + 500_000) / 1_000_000)
  }
}
