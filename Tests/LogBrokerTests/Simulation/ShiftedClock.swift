import Base
import Synchronization
import TestSupport

/// A clock whose wall time is set forward and back by somebody; the monotonic one goes on.
final class ShiftedClock: Clock {
  private let base: ManualClock
  private let skew = Mutex<Int64>(0)

  init(_ base: ManualClock) { self.base = base }

  func monotonic() -> Nanoseconds { base.monotonic() }

  func wall() -> Timestamp {
    Timestamp(microseconds: base.wall().microseconds + skew.withLock { $0 })
  }

  /// Sets the wall clock by so much.
  func jump(seconds: Int64) { skew.withLock { $0 += seconds * 1_000_000 } }
}
