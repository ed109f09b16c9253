package import Base
import CLinux

/// What held a loop up.
package struct Stall: Sendable, CustomStringConvertible {
  /// What kind of callback: `receive of Socket`, `timer`, `post`, `task`, `enqueued work`, `hook`.
  package let activity: String
  /// How long it ran, to about the 4 ms of the coarse clock.
  package let duration: Nanoseconds
  /// Stalls since the last one that was reported, which were not.
  package let unreported: Int

  package var description: String {
    "\(activity) held the loop for \(duration.milliseconds) ms"
  }
}

/// Notices callbacks that hold the loop. One look at the coarse clock, a load from memory, after
/// each callback: the exact clock would cost more than many callbacks do.
struct Watchdog {
  /// Called at most once a second.
  var report: ((Stall) -> Void)?
  private let stalls: Counter
  private let limit = EventLoop.stallMin.milliseconds
  private var last = kfm_coarse_milliseconds()
  private var lastReport: Int64?
  private var unreported = 0

  private static let reportPause: Int64 = 1_000

  init(stalls: Counter) { self.stalls = stalls }

  /// The loop begins to work.
  mutating func begin() { last = kfm_coarse_milliseconds() }

  /// A callback has returned.
  @inline(__always)
  mutating func ended(_ activity: @autoclosure () -> String) {
    let now = kfm_coarse_milliseconds()
    let duration = now - last
    last = now
    if duration >= limit { stalled(activity(), duration) }
  }

  @inline(never)
  private mutating func stalled(_ activity: String, _ duration: Int64) {
    stalls.add()
    if let lastReport, last - lastReport < Self.reportPause {
      unreported += 1
      return
    }
    lastReport = last
    report?(
      Stall(activity: activity, duration: .milliseconds(duration), unreported: unreported))
    unreported = 0
  }
}
