package import Base
import Events
package import Observability

/// What the engine counts, in the node's metrics and for its own health.
package final class EngineMetrics {
  package let turnsRunning = Gauge()
  package let takeovers = Counter()
  package let appendRetries = Counter()
  private let node: NodeMetrics

  package init(_ node: NodeMetrics) { self.node = node }

  func charge(_ usage: Usage) {
    node.tokens["in"].add(usage.tokensIn)
    node.tokens["out"].add(usage.tokensOut)
    node.tokens["cached"].add(usage.tokensCached)
  }

  func toolRan(completed: Bool) {
    node.toolRuns["process", completed ? "completed" : "failed"].add()
  }

  /// `overhead` is nil for a turn that never ran.
  func turnEnded(_ status: TurnStatus, duration: Nanoseconds, overhead: Nanoseconds?) {
    node.turns[status.rawValue].add()
    node.turnDuration.record(duration)
    if let overhead { node.turnOverhead.record(overhead) }
  }
}
