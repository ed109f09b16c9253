import Synchronization

/// A count that only rises. Written by its owner, read by whoever renders metrics.
package final class Counter: Sendable {
  private let count = Atomic<Int>(0)

  package init() {}

  package func add(_ amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }
  package var value: Int { count.load(ordering: .relaxed) }
}

/// A value that rises and falls.
package final class Gauge: Sendable {
  private let current = Atomic<Int>(0)

  package init() {}

  package func set(_ value: Int) { current.store(value, ordering: .relaxed) }
  package func add(_ amount: Int) { current.wrappingAdd(amount, ordering: .relaxed) }
  package var value: Int { current.load(ordering: .relaxed) }
}

/// Counts durations in fixed buckets, as Prometheus wants them.
package final class DurationHistogram: Sendable {
  /// Upper bounds in seconds; the last bucket has none.
  package static let bounds: [Double] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
  ]

  private struct State {
    var buckets = [Int](repeating: 0, count: DurationHistogram.bounds.count + 1)
    var sumNanoseconds: Int64 = 0
  }
  private let state = Mutex(State())

  package init() {}

  package func record(_ duration: Nanoseconds) {
    let seconds = duration.seconds
    let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    state.withLock {
      $0.buckets[bucket] += 1
      $0.sumNanoseconds &+= duration.count
    }
  }

  /// Counts per bucket (not cumulative), and the sum of all durations in seconds.
  package func snapshot() -> (buckets: [Int], sumSeconds: Double) {
    state.withLock { ($0.buckets, Double($0.sumNanoseconds) / 1e9) }
  }
}
