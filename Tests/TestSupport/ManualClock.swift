package import Base
import Synchronization

/// A clock that moves only when told to; monotonic and wall time move together.
package final class ManualClock: Clock {
  private let nanoseconds: Mutex<Int64>
  /// What `wall()` gives at monotonic zero.
  private let epoch: Timestamp

  package init(epoch: Timestamp = Timestamp(microseconds: 1_767_225_600_000_000)) {
    self.epoch = epoch
    nanoseconds = Mutex(0)
  }

  package func monotonic() -> Nanoseconds { Nanoseconds(nanoseconds.withLock { $0 }) }
  package func wall() -> Timestamp { epoch.adding(monotonic()) }

  package func advance(_ duration: Nanoseconds) {
    nanoseconds.withLock { $0 += duration.count }
  }
}
