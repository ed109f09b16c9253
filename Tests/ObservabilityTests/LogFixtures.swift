import Base
import Synchronization

/// A wall clock that stands still, at 2026-11-25T22:10:21.123456Z.
final class StillClock: Clock {
  static let now = Timestamp(rfc3339: "2026-11-25T22:10:21.123456Z")!

  func monotonic() -> Nanoseconds { .zero }
  func wall() -> Timestamp { Self.now }
}

/// One record as a module would log it.
func record(
  _ message: String, trace: String? = nil, _ fields: JSONObject = [:]
) -> LogRecord {
  let ring = LogRing()
  Logger(module: "test", ring: ring, clock: StillClock()).info(message, trace: trace, fields)
  return ring.drain()[0]
}
