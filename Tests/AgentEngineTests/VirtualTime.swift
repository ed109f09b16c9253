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
  /// A binary heap: the next timer is first.
  private var heap: [Timer] = []
  private var scheduled = 0

  @discardableResult
  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable {
    scheduled += 1
    let timer = Timer(
      due: manual.nanoseconds + max(0, delay.count), order: scheduled, body: body)
    heap.append(timer)
    var child = heap.count - 1
    while child > 0, comes(child, before: (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
    return timer
  }

  private func comes(_ left: Int, before right: Int) -> Bool {
    let (left, right) = (heap[left], heap[right])
    return left.due != right.due ? left.due < right.due : left.order < right.order
  }

  private func removeFirst() -> Timer {
    let first = heap[0]
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var next = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && comes(child, before: next) { next = child }
      guard next != parent else { return first }
      heap.swapAt(parent, next)
      parent = next
    }
  }

  /// Runs the next timer, jumping to its time; false when there is none before `limit`.
  private func step(until limit: Int64) -> Bool {
    while let next = heap.first, next.due <= limit {
      let timer = removeFirst()
      guard let body = timer.body else { continue }
      manual.nanoseconds = max(manual.nanoseconds, timer.due)
      timer.body = nil
      body()
      return true
    }
    return false
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
