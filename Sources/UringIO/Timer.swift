import Base

/// A timer of the loop, and the handle that cancels it.
final class Timer: Cancellable {
  let deadline: Nanoseconds
  /// Breaks ties: timers of one deadline run in the order they were made.
  let sequence: UInt64
  private(set) var body: (() -> Void)?
  /// Where it is: a bucket of the wheel, or one of those below.
  var bucket = Timer.outside
  /// Its place there.
  var index = 0
  private unowned let wheel: TimerWheel

  static let outside = -1
  static let inHeap = -2

  init(deadline: Nanoseconds, sequence: UInt64, wheel: TimerWheel, body: @escaping () -> Void) {
    self.deadline = deadline
    self.sequence = sequence
    self.wheel = wheel
    self.body = body
  }

  func cancel() {
    body = nil
    if bucket != Timer.outside { wheel.remove(self) }
  }

  func isBefore(_ other: Timer) -> Bool {
    deadline == other.deadline ? sequence < other.sequence : deadline < other.deadline
  }
}
