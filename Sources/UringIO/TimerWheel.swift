import Base

/// The loop's timers: a hierarchical wheel (Varghese and Lauck, 1987) with ticks of about a
/// millisecond, and a heap that orders the timers of the current tick to the nanosecond. Adding and
/// cancelling take constant time, but for timers due within the tick; so deadlines that are nearly
/// always cancelled cost little and leave at once.
final class TimerWheel {
  private(set) var nextSequence: UInt64 = 0
  /// Timers of ticks up to `current`.
  private var near = TimerHeap()
  /// Timers of later ticks. Level n has those whose tick first differs from `current` in its n-th
  /// group of six bits, by the value of that group: all of one level are later than those below.
  private var buckets = ContiguousArray(
    repeating: ContiguousArray<Timer>(), count: levels * slotsPerLevel)
  /// A bit for each bucket of a level that has timers.
  private var occupied = ContiguousArray(repeating: UInt64(0), count: levels)
  /// A time no timer of the bucket comes before.
  private var earliestOf = ContiguousArray(
    repeating: Nanoseconds(.max), count: levels * slotsPerLevel)
  private var current: UInt64
  private var farCount = 0

  /// 2^20 ns.
  private static let tickBits: UInt64 = 20
  private static let slotBits: UInt64 = 6
  private static let slotsPerLevel = 64
  /// Enough for every time there is: 63 - 20 bits of ticks.
  private static let levels = 8

  init(now: Nanoseconds) { current = Self.tick(now) }

  var count: Int { near.count + farCount }

  /// A time before which nothing is due, nearly always the time of the earliest timer; nil without
  /// timers.
  var earliest: Nanoseconds? {
    if let timer = near.earliest { return timer.deadline }
    return firstBucket.map { earliestOf[$0] }
  }

  func add(deadline: Nanoseconds, _ body: @escaping () -> Void) -> Timer {
    let timer = Timer(deadline: deadline, sequence: nextSequence, wheel: self, body: body)
    nextSequence += 1
    place(timer)
    return timer
  }

  /// The earliest timer due at `now` and made before `limit`: one that a timer makes for right
  /// now waits for the next turn, or the loop would never leave the timers.
  func popDue(now: Nanoseconds, before limit: UInt64) -> Timer? {
    advance(to: Self.tick(now))
    guard let first = near.earliest, first.deadline <= now, first.sequence < limit else {
      return nil
    }
    near.remove(first)
    return first
  }

  func remove(_ timer: Timer) {
    guard timer.bucket >= 0 else { return near.remove(timer) }
    let bucket = timer.bucket
    timer.bucket = Timer.outside
    farCount -= 1
    let last = buckets[bucket].removeLast()
    if last !== timer {
      buckets[bucket][timer.index] = last
      last.index = timer.index
    }
    if buckets[bucket].isEmpty { markEmpty(bucket) }
  }

  /// Drops every timer without running it.
  func removeAll() {
    var dropped = near.takeAll()
    while let bucket = firstBucket { dropped += take(bucket) }
    for timer in dropped { timer.cancel() }
  }

  // MARK: - The wheel

  /// Brings the timers of all ticks up to `tick` into the heap.
  private func advance(to tick: UInt64) {
    guard tick > current else { return }
    while let bucket = firstBucket {
      let start = startTick(of: bucket)
      guard start <= tick else { break }
      current = start
      for timer in take(bucket) { place(timer) }
    }
    current = tick
  }

  private func place(_ timer: Timer) {
    let tick = Self.tick(timer.deadline)
    guard tick > current else { return near.add(timer) }
    let level = UInt64(63 - (tick ^ current).leadingZeroBitCount) / Self.slotBits
    let slot = (tick >> (level * Self.slotBits)) & UInt64(Self.slotsPerLevel - 1)
    let bucket = Int(level) * Self.slotsPerLevel + Int(slot)
    timer.bucket = bucket
    timer.index = buckets[bucket].count
    buckets[bucket].append(timer)
    occupied[Int(level)] |= 1 << slot
    earliestOf[bucket] = min(earliestOf[bucket], timer.deadline)
    farCount += 1
  }

  /// The bucket with the earliest timers.
  private var firstBucket: Int? {
    guard farCount > 0 else { return nil }
    for level in 0..<Self.levels where occupied[level] != 0 {
      return level * Self.slotsPerLevel + occupied[level].trailingZeroBitCount
    }
    return nil
  }

  private func startTick(of bucket: Int) -> UInt64 {
    let shift = UInt64(bucket / Self.slotsPerLevel) * Self.slotBits
    let above = (current >> (shift + Self.slotBits)) << (shift + Self.slotBits)
    return above | (UInt64(bucket % Self.slotsPerLevel) << shift)
  }

  private func take(_ bucket: Int) -> ContiguousArray<Timer> {
    let taken = buckets[bucket]
    buckets[bucket] = []
    farCount -= taken.count
    for timer in taken { timer.bucket = Timer.outside }
    markEmpty(bucket)
    return taken
  }

  private func markEmpty(_ bucket: Int) {
    occupied[bucket / Self.slotsPerLevel] &= ~(1 << UInt64(bucket % Self.slotsPerLevel))
    earliestOf[bucket] = Nanoseconds(.max)
  }

  private static func tick(_ time: Nanoseconds) -> UInt64 {
    UInt64(max(0, time.count)) >> tickBits
  }
}
