import Base

/// A clock and its timers on virtual time: nothing runs until `run` lets it, and time jumps to the
/// next timer when nothing is ready.
final class VirtualTime: TimerService {
  final class ManualClock: Clock, @unchecked Sendable {
    // Only the test's thread touches it.
    var nanoseconds: Int64 = 1_000_000_000
    let wallStart: Int64 = 1_790_000_000_000_000

    func monotonic() -> Nanoseconds { Nanoseconds(nanoseconds) }
    func wall() -> Timestamp {
      Timestamp(microseconds: wallStart + nanoseconds / 1_000)
    }
  }

  final class Timer: Cancellable {
    let due: Int64
    let order: Int
    var body: (() -> Void)?

    init(due: Int64, order: Int, body: @escaping () -> Void) {
      self.due = due
      self.order = order
      self.body = body
    }

    func cancel() { body = nil }
  }

  let manual = ManualClock()
  var clock: any Clock { manual }
  private var timers: [Timer] = []
  private var scheduled = 0

  @discardableResult
  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable {
    scheduled += 1
    let timer = Timer(
      due: manual.nanoseconds + max(0, delay.count), order: scheduled, body: body)
    timers.append(timer)
    return timer
  }

  /// Runs the next timer, jumping to its time; false when there is none before `limit`.
  private func step(until limit: Int64) -> Bool {
    timers.removeAll { $0.body == nil }
    guard
      let next = timers.min(by: { ($0.due, $0.order) < ($1.due, $1.order) }), next.due <= limit
    else { return false }
    manual.nanoseconds = max(manual.nanoseconds, next.due)
    let body = next.body
    next.body = nil
    body?()
    return true
  }

  /// Runs everything that is due within `duration` from now.
  func run(for duration: Nanoseconds = .milliseconds(100)) {
    let limit = manual.nanoseconds + duration.count
    while step(until: limit) {}
    manual.nanoseconds = limit
  }

  /// Runs until `condition` holds; false when it does not within `limit` of virtual time.
  func run(within limit: Nanoseconds = .seconds(60), until condition: () -> Bool) -> Bool {
    let end = manual.nanoseconds + limit.count
    while !condition() {
      guard step(until: end) else { return condition() }
    }
    return true
  }
}
