import Base

/// Ends an exchange at its next deadline. Progress only notes the time; the timer looks when it
/// fires and sleeps again, so that a stream's pieces cost no timer each.
final class ExchangeTimer {
  /// Called once, on the loop.
  var onTimeout: ((TransportFailure.Phase) -> Void)?
  private let timers: any TimerService
  private var deadlines: ExchangeDeadlines
  private var timer: (any Cancellable)?

  init(_ timeouts: HTTPTimeouts, timers: any TimerService) {
    self.timers = timers
    deadlines = ExchangeDeadlines(timeouts, now: timers.clock.monotonic())
  }

  func start() { arm(timers.clock.monotonic()) }

  func connected() {
    let now = timers.clock.monotonic()
    if deadlines.connected(now) { arm(now) }
  }

  func advanced() {
    let now = timers.clock.monotonic()
    if deadlines.advanced(now) { arm(now) }
  }

  func stop() {
    timer?.cancel()
    timer = nil
    onTimeout = nil
  }

  private func arm(_ now: Nanoseconds) {
    timer?.cancel()
    timer = timers.schedule(after: deadlines.next.time - now) { [weak self] in self?.fired() }
  }

  private func fired() {
    let now = timers.clock.monotonic()
    let (time, phase) = deadlines.next
    guard time <= now else { return arm(now) }
    let body = onTimeout
    stop()
    body?(phase)
  }
}
