import Base
import Events

/// The message ids that a partition has taken lately, and where their records are. Sans I/O.
///
/// What a commit group is about to write is staged: it counts for the group's other entries, and
/// for good once the group is durable.
struct DeduplicationWindow {
  private struct Taken {
    var id: UInt128
    /// Append time, µs.
    var time: UInt64
  }

  /// µs.
  private let span: UInt64
  private let idsMax: Int
  private var offsets: [UInt128: UInt64] = [:]
  /// In the order they were taken; `head` counts those that are forgotten.
  private var order: [Taken] = []
  private var head = 0
  private var staged: [(id: UInt128, offset: UInt64)] = []

  /// - Parameters:
  ///   - span: how long an id is remembered, µs of append time.
  ///   - idsMax: the oldest are forgotten above it.
  init(span: UInt64, idsMax: Int) {
    self.span = span
    self.idsMax = idsMax
  }

  var count: Int { order.count - head }

  /// Takes the records that are new, of which the first will have the offset `base`. `first` is
  /// where the first record of all is, or will be.
  mutating func stage(
    _ records: [BusRecord], base: UInt64
  ) -> (fresh: [BusRecord], first: UInt64) {
    var fresh: [BusRecord] = []
    var first: UInt64?
    for record in records {
      let id = record.eventID.value
      if let offset = offsets[id] {
        first = first ?? offset
        continue
      }
      let offset = base + UInt64(fresh.count)
      first = first ?? offset
      offsets[id] = offset
      staged.append((id, offset))
      fresh.append(record)
    }
    return (fresh, first ?? base)
  }

  /// What was staged is durable, appended at `time` (µs).
  mutating func commit(time: UInt64) {
    order += staged.map { Taken(id: $0.id, time: time) }
    staged.removeAll(keepingCapacity: true)
    forget(now: time)
  }

  /// What was staged came to nothing.
  mutating func discard() {
    for taken in staged { offsets[taken.id] = nil }
    staged.removeAll(keepingCapacity: true)
  }

  /// A record that is on the log.
  mutating func restore(_ id: UInt128, offset: UInt64, time: UInt64) {
    if offsets.updateValue(offset, forKey: id) == nil { order.append(Taken(id: id, time: time)) }
    forget(now: time)
  }

  /// Forgets what is too old, or too much.
  mutating func forget(now: UInt64) {
    while head < order.count {
      let oldest = order[head]
      let isOld = now > oldest.time && now - oldest.time > span
      guard isOld || count > idsMax else { break }
      offsets[oldest.id] = nil
      head += 1
    }
    guard head > 1_024, head * 2 > order.count else { return }
    order.removeFirst(head)
    head = 0
  }
}
