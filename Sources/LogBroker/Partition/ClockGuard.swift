import Base

/// Tells whether the wall clock can be trusted with deleting by age: it is held against the
/// monotonic clock, across restarts of the process too. Sans I/O.
struct ClockGuard: Hashable {
  /// Both clocks at one moment, and the machine's life they are of.
  struct Anchor: Hashable {
    var wall: Timestamp
    var monotonic: Nanoseconds
    var boot: UInt128
  }

  /// More than this is a jump.
  static let jumpMax: Int64 = 3_600 * 1_000_000
  /// While the machine is off nothing counts the time: longer than this is taken for a jump.
  static let offMax: Int64 = 30 * 86_400 * 1_000_000

  /// The last moment the clock was believed; nil before the first.
  private(set) var anchor: Anchor?
  private(set) var isSuspended = false

  init(_ anchor: Anchor?) { self.anchor = anchor }

  /// What a record written now is stamped with for its age, µs; 0 when nobody knows, until the
  /// clock is back.
  func stamp(_ now: Anchor) -> UInt64 {
    jump(to: now).magnitude > UInt64(Self.jumpMax) ? 0 : UInt64(clamping: now.wall.microseconds)
  }

  enum Verdict: Hashable {
    case fine
    /// The clock jumped by so many µs.
    case jumped(Int64)
  }

  /// Looks at the clocks. After a jump nothing is believed until the wall clock is back.
  mutating func check(_ now: Anchor) -> Verdict {
    let jump = jump(to: now)
    isSuspended = jump.magnitude > UInt64(Self.jumpMax)
    if isSuspended { return .jumped(jump) }
    anchor = now
    return .fine
  }

  /// By how much the wall clock is ahead of where it should be, µs.
  private func jump(to now: Anchor) -> Int64 {
    guard let anchor else { return 0 }
    let elapsed = now.wall.microseconds.subtractingReportingOverflow(anchor.wall.microseconds)
    if elapsed.overflow { return .max }
    if now.boot == anchor.boot {
      return elapsed.partialValue - (now.monotonic - anchor.monotonic).microseconds
    }
    let isTooLong = elapsed.partialValue > Self.offMax
    return isTooLong ? elapsed.partialValue : min(0, elapsed.partialValue)
  }
}
