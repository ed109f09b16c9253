import Base
import LogBroker
import TestSupport

/// A loop whose time stands still until it has nothing else to do. What completes next is chosen
/// by seed among all that is in flight.
final class SimulatedLoop: LogLoop {
  let manualClock = ManualClock()
  private(set) lazy var wallClock = ShiftedClock(manualClock)
  var clock: any Clock { wallClock }
  private let random: SeededRandom
  private var hooks: [() -> Void] = []
  private var enqueued: [() -> Void] = []
  private var inFlight: [() -> Void] = []
  private var timers: [Timer] = []

  private final class Timer: Cancellable {
    let deadline: Nanoseconds
    var body: (() -> Void)?

    init(_ deadline: Nanoseconds, _ body: @escaping () -> Void) {
      self.deadline = deadline
      self.body = body
    }

    func cancel() { body = nil }
  }

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  func enqueue(_ body: @escaping () -> Void) { enqueued.append(body) }
  func beforeSleep(_ body: @escaping () -> Void) { hooks.append(body) }

  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable {
    let timer = Timer(clock.monotonic() + delay, body)
    timers.append(timer)
    return timer
  }

  /// Something the kernel does meanwhile.
  func start(_ completion: @escaping () -> Void) { inFlight.append(completion) }

  /// Whatever was asked for never happens: the process is gone.
  func forgetEverything() {
    hooks = []
    enqueued = []
    inFlight = []
    timers = []
  }

  /// One turn of the loop; false when there was nothing to do but wait for a timer.
  @discardableResult
  func turn() -> Bool {
    manualClock.advance(Nanoseconds(1_000))
    let ready = enqueued
    enqueued = []
    for body in ready { body() }
    for hook in hooks { hook() }
    if !inFlight.isEmpty {
      inFlight.remove(at: Int(random.next(below: UInt64(inFlight.count))))()
      return true
    }
    return !ready.isEmpty || !enqueued.isEmpty
  }

  /// Turns until nothing is left to do; timers stay.
  func settle() {
    for _ in 0..<100_000 where !turn() { return }
  }

  /// Lets the time pass to the next timer and runs it.
  func fireNextTimer() {
    timers.removeAll { $0.body == nil }
    guard let next = timers.min(by: { $0.deadline < $1.deadline }) else { return }
    manualClock.advance(next.deadline - clock.monotonic())
    let body = next.body
    next.cancel()
    body?()
  }
}
