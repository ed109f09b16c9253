/// Counts of durations with a fixed relative precision: 128 steps for each doubling, so a value is
/// known to 0.8 % whatever its size; 40 KiB, and one addition a record.
package struct LatencyHistogram {
  private static let stepBits = 7
  private static let steps = 1 << stepBits
  /// Exact up to 128 us, then 128 steps for each of the 33 doublings up to 2^40 us (12 days).
  private static let doublings = 33

  private var counts = [UInt64](repeating: 0, count: steps * (doublings + 1))
  package private(set) var count: UInt64 = 0
  private var sum: UInt64 = 0
  package private(set) var largest: UInt64 = 0

  package init() {}

  package mutating func record(microseconds: Int64) {
    let value = UInt64(max(0, microseconds))
    counts[Self.index(of: value)] += 1
    count += 1
    sum += value
    largest = max(largest, value)
  }

  /// The smallest value of which at least `fraction` of the records are not above it; its step's
  /// upper end, never more than the largest record. 0 without records.
  package func quantile(_ fraction: Double) -> UInt64 {
    guard count > 0 else { return 0 }
    let rank = max(1, UInt64((fraction * Double(count)).rounded(.up)))
    var seen: UInt64 = 0
    for index in counts.indices {
      seen += counts[index]
      // The last step has no upper end.
      if seen >= rank, index < counts.count - 1 { return min(largest, Self.upperEnd(of: index)) }
    }
    return largest
  }

  package var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) }

  /// The step a value falls into.
  static func index(of value: UInt64) -> Int {
    guard value >= steps else { return Int(value) }
    let exponent = UInt64.bitWidth - 1 - value.leadingZeroBitCount
    let doubling = exponent - stepBits + 1
    guard doubling <= doublings else { return steps * (doublings + 1) - 1 }
    let step = Int(value >> UInt64(exponent - stepBits)) - steps
    return doubling * steps + step
  }

  static func upperEnd(of index: Int) -> UInt64 {
    guard index >= steps else { return UInt64(index) }
    let doubling = index / steps
    let step = UInt64(index % steps)
    return ((UInt64(steps) + step + 1) << UInt64(doubling - 1)) - 1
  }
}
