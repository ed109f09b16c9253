import Glibc

/// A point of the wall clock: microseconds since 1970-01-01T00:00:00Z.
package struct Timestamp: Hashable, Comparable, Sendable {
  package var microseconds: Int64

  package init(microseconds: Int64) { self.microseconds = microseconds }

  package static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microseconds < right.microseconds
  }

  /// The span from `earlier` to this; negative when this comes first. Centuries are cut to the 292
  /// years that nanoseconds can count.
  package func since(_ earlier: Timestamp) -> Nanoseconds {
    let (span, isBeyond) = microseconds.subtractingReportingOverflow(earlier.microseconds)
    let limit = Int64.max / 1_000
    guard !isBeyond else { return Nanoseconds((microseconds < 0 ? -limit : limit) * 1_000) }
    return Nanoseconds(min(max(span, -limit), limit) * 1_000)
  }

  package func adding(_ duration: Nanoseconds) -> Timestamp {
    Timestamp(microseconds: microseconds &+ duration.count / 1_000)
  }
}

/// A span of time, or a point of a monotonic clock, in nanoseconds.
package struct Nanoseconds: Hashable, Comparable, Sendable {
  package var count: Int64

  package init(_ count: Int64) { self.count = count }

  package static func milliseconds(_ count: Int64) -> Nanoseconds {
    Nanoseconds(count &* 1_000_000)
  }
  package static func seconds(_ count: Int64) -> Nanoseconds {
    Nanoseconds(count &* 1_000_000_000)
  }
  package static let zero = Nanoseconds(0)

  package var microseconds: Int64 { count / 1_000 }
  package var milliseconds: Int64 { count / 1_000_000 }
  package var seconds: Double { Double(count) / 1e9 }

  package static func < (left: Nanoseconds, right: Nanoseconds) -> Bool {
    left.count < right.count
  }
  package static func + (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
    Nanoseconds(left.count &+ right.count)
  }
  package static func - (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
    Nanoseconds(left.count &- right.count)
  }
}

/// Where time comes from. Every part that needs the time is handed one; tests hand in their own.
package protocol Clock: AnyObject, Sendable {
  /// Monotonic, also across suspend (CLOCK_BOOTTIME); its zero has no meaning.
  func monotonic() -> Nanoseconds
  /// UTC; may jump.
  func wall() -> Timestamp
}

/// The kernel's clocks.
package final class SystemClock: Clock {
  package init() {}

  package func monotonic() -> Nanoseconds {
    var now = timespec()
    clock_gettime(CLOCK_BOOTTIME, &now)
    return Nanoseconds(Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec))
  }

  package func wall() -> Timestamp {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Timestamp(microseconds: Int64(now.tv_sec) &* 1_000_000 &+ Int64(now.tv_nsec) / 1_000)
  }
}

/// Whatever can be stopped before it has ended. `cancel` may be called at any time, also twice.
package protocol Cancellable: AnyObject {
  func cancel()
}

/// Timers of one event loop. The body runs on that loop, at or after its time.
package protocol TimerService: AnyObject {
  var clock: any Clock { get }
  /// Runs `body` once, `delay` from now, unless the returned handle is cancelled before.
  @discardableResult
  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable
}
