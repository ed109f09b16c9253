package import Base

/// Which keys have outlived their time. Knows no clock: time is passed in.
package struct TTLManager<Key: Hashable> {
  private struct Deadline {
    var time: Nanoseconds
    var key: Key
    /// Of the key when this was noted; an older one than the key's own is out of date.
    var generation: UInt64
  }

  private var current: [Key: (time: Nanoseconds, generation: UInt64)] = [:]
  /// A binary heap, earliest first; holds out-of-date entries until they come to the top.
  private var deadlines: [Deadline] = []
  private var generation: UInt64 = 0

  package init() {}

  package var count: Int { current.count }

  /// When the first key expires; nil without keys. May name a time at which nothing does.
  package var nextDeadline: Nanoseconds? { deadlines.first?.time }

  /// Sets, or moves, the time from which on `key` is expired.
  package mutating func set(_ key: Key, expiresAt time: Nanoseconds) {
    generation += 1
    current[key] = (time, generation)
    insert(Deadline(time: time, key: key, generation: generation))
    // Keys that are set again and again must not grow the heap without bound.
    if deadlines.count > 2 * current.count + 16 { rebuild() }
  }

  package mutating func remove(_ key: Key) { current.removeValue(forKey: key) }

  package func isExpired(_ key: Key, now: Nanoseconds) -> Bool {
    current[key].map { $0.time <= now } ?? true
  }

  /// Takes out the keys whose time has come, earliest first.
  package mutating func removeExpired(now: Nanoseconds) -> [Key] {
    var expired: [Key] = []
    while let first = deadlines.first, first.time <= now {
      removeFirst()
      guard current[first.key]?.generation == first.generation else { continue }
      current.removeValue(forKey: first.key)
      expired.append(first.key)
    }
    return expired
  }

  private mutating func rebuild() {
    let old = deadlines
    deadlines.removeAll(keepingCapacity: true)
    for deadline in old where current[deadline.key]?.generation == deadline.generation {
      insert(deadline)
    }
  }

  private mutating func insert(_ deadline: Deadline) {
    deadlines.append(deadline)
    var at = deadlines.count - 1
    while at > 0, precedes(at, (at - 1) / 2) {
      deadlines.swapAt(at, (at - 1) / 2)
      at = (at - 1) / 2
    }
  }

  private mutating func removeFirst() {
    deadlines.swapAt(0, deadlines.count - 1)
    deadlines.removeLast()
    var at = 0
    while true {
      var child = 2 * at + 1
      guard child < deadlines.count else { return }
      if child + 1 < deadlines.count, precedes(child + 1, child) { child += 1 }
      guard precedes(child, at) else { return }
      deadlines.swapAt(at, child)
      at = child
    }
  }

  /// Equal times in the order they were set.
  private func precedes(_ left: Int, _ right: Int) -> Bool {
    let (a, b) = (deadlines[left], deadlines[right])
    return (a.time.count, a.generation) < (b.time.count, b.generation)
  }
}
