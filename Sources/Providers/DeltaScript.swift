import Base

/// Plays a list of steps on the loop, one after the other, each on a turn of its own, so that
/// nobody is called before the caller has its handle, and a cancel in between holds.
final class DeltaScript: Cancellable {
  private let timers: any TimerService
  private var steps: ArraySlice<(wait: Nanoseconds, body: () -> Void)>
  private var timer: (any Cancellable)?

  init(timers: any TimerService, steps: [(wait: Nanoseconds, body: () -> Void)]) {
    self.timers = timers
    self.steps = steps[...]
    scheduleNext()
  }

  func cancel() {
    steps = []
    timer?.cancel()
    timer = nil
  }

  private func scheduleNext() {
    guard let step = steps.popFirst() else { return timer = nil }
    // Holds itself until the last step: the caller may drop the handle.
    timer = timers.schedule(after: step.wait) { [self] in
      step.body()
      if timer != nil { scheduleNext() }
    }
  }
}
