/// Timers by deadline, earliest first: those of the wheel's current tick.
struct TimerHeap {
  private var timers: ContiguousArray<Timer> = []

  var count: Int { timers.count }
  var earliest: Timer? { timers.first }

  mutating func add(_ timer: Timer) {
    timer.bucket = Timer.inHeap
    timer.index = timers.count
    timers.append(timer)
    siftUp(timer.index)
  }

  mutating func remove(_ timer: Timer) {
    let index = timer.index
    timer.bucket = Timer.outside
    let last = timers.removeLast()
    guard last !== timer else { return }
    timers[index] = last
    last.index = index
    siftUp(index)
    siftDown(last.index)
  }

  /// Everything, in no order; empty afterwards.
  mutating func takeAll() -> ContiguousArray<Timer> {
    let taken = timers
    timers = []
    for timer in taken { timer.bucket = Timer.outside }
    return taken
  }

  private mutating func siftUp(_ start: Int) {
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

  private mutating func siftDown(_ start: Int) {
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

  private mutating func place(_ timer: Timer, at index: Int) {
    timers[index] = timer
    timer.index = index
  }
}
