package import Base

/// The system's clock, and leaps that a test makes: a deadline of minutes passes when the test says
/// so, and never because the machine is slow.
package final class LeapClock: Clock {
  private let system = SystemClock()
  private let leaps = Counter()

  package init() {}

  package func monotonic() -> Nanoseconds {
    system.monotonic() + Nanoseconds(Int64(leaps.value))
  }
  package func wall() -> Timestamp { system.wall().adding(Nanoseconds(Int64(leaps.value))) }
  package func leap(_ duration: Nanoseconds) { leaps.add(Int(duration.count)) }
}
