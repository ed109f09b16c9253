package import Base
package import Events

/// What the engine counts; rendered by the metrics collector.
package final class EngineMetrics {
  package let turnsByStatus: [TurnStatus: Counter] = [
    .completed: Counter(), .failed: Counter(), .cancelled: Counter(), .merged: Counter(),
  ]
  package let turnDuration = DurationHistogram()
  package let turnOverhead = DurationHistogram()
  package let tokensIn = Counter()
  package let tokensOut = Counter()
  package let tokensCached = Counter()
  package let toolRunsCompleted = Counter()
  package let toolRunsFailed = Counter()
  package let turnsRunning = Gauge()
  package let turnsQueued = Gauge()
  package let takeovers = Counter()
  package let appendRetries = Counter()
  /// Cost by `provider/model`; the models of a configuration are few.
  package private(set) var costMicros: [String: Int] = [:]

  package init() {}

  func charge(_ usage: Usage, model: String) {
    tokensIn.add(usage.tokensIn)
    tokensOut.add(usage.tokensOut)
    tokensCached.add(usage.tokensCached)
    if let cost = usage.costMicros { costMicros[model, default: 0] += cost }
  }
}
