import Base

/// A timer of the loop, and the handle that cancels it.
final class Timer: Cancellable {
  let deadline: Nanoseconds
  /// Breaks ties: timers of one deadline run in the order they were made.
  let sequence: UInt64
  private(set) var body: (() -> Void)?
  fileprivate(set) var index = Timer.outside
  private unowned let heap: TimerHeap

  fileprivate static let outside = -1

  fileprivate init(
    deadline: Nanoseconds, sequence: UInt64, heap: TimerHeap, body: @escaping () -> Void
  ) {
    self.deadline = deadline
    self.sequence = sequence
    self.heap = heap
    self.body = body
  }

  func cancel() {
    body = nil
    if index != Timer.outside { heap.remove(self) }
  }

  fileprivate func isBefore(_ other: Timer) -> Bool {
    deadline == other.deadline ? sequence < other.sequence : deadline < other.deadline
  }
}

/// The loop's timers, earliest first. A cancelled one leaves at once, so that deadlines which are
/// nearly always cancelled do not pile up.
final class TimerHeap {
  private var timers: ContiguousArray<Timer> = []
  private(set) var nextSequence: UInt64 = 0

  var count: Int { timers.count }
  var earliest: Timer? { timers.first }

  func add(deadline: Nanoseconds, _ body: @escaping () -> Void) -> Timer {
    let timer = Timer(deadline: deadline, sequence: nextSequence, heap: self, body: body)
    nextSequence += 1
    timer.index = timers.count
    timers.append(timer)
    siftUp(timer.index)
    return timer
  }

  /// The earliest timer due at `now` and made before `limit`: one that a timer makes for right
  /// now waits for the next turn, or the loop would never leave the timers.
  func popDue(now: Nanoseconds, before limit: UInt64) -> Timer? {
    guard let first = timers.first, first.deadline <= now, first.sequence < limit else {
      return nil
    }
    remove(first)
    return first
  }

  /// Drops every timer without running it.
  func removeAll() {
    let dropped = timers
    timers = []
    for timer in dropped {
      timer.index = Timer.outside
      timer.cancel()
    }
  }

  fileprivate func remove(_ timer: Timer) {
    let index = timer.index
    timer.index = Timer.outside
    let last = timers.removeLast()
    guard last !== timer else { return }
    timers[index] = last
    last.index = index
    siftUp(index)
    siftDown(last.index)
  }

  private func siftUp(_ start: Int) {
    var index = start
    let timer = timers[index]
    while index > 0 {
      let parent = (index - 1) / 2
      guard timer.isBefore(timers[parent]) else { break }
      place(timers[parent], at: index)
      index = parent
    }
    place(timer, at: index)
  }

  private func siftDown(_ start: Int) {
    var index = start
    let timer = timers[index]
    while true {
      var child = 2 * index + 1
      guard child < timers.count else { break }
      if child + 1 < timers.count, timers[child + 1].isBefore(timers[child]) { child += 1 }
      guard timers[child].isBefore(timer) else { break }
      place(timers[child], at: index)
      index = child
    }
    place(timer, at: index)
  }

  private func place(_ timer: Timer, at index: Int) {
    timers[index] = timer
    timer.index = index
  }
}
