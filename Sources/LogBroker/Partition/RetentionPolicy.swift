import Base

/// Which records go, by a topic's settings. Only whole closed segments do. Sans I/O.
struct RetentionPolicy {
  /// A partition, and the offset below which it is cut.
  typealias Cut = (log: PartitionLog, offset: UInt64)

  let settings: TopicSettings

  /// Segments of which it is not known how old they are begin to age now.
  func stampUnknown(_ logs: [PartitionLog], now: UInt64) {
    for segment in logs.lazy.flatMap(\.segments) {
      if segment.openedAt == 0 { segment.openedAt = now }
      if segment.writtenAt == 0 { segment.writtenAt = now }
    }
  }

  /// Closes segments that are old enough; `now` in µs.
  func closeAged(_ logs: [PartitionLog], now: UInt64) {
    guard let age = settings.segmentAge else { return }
    for log in logs {
      guard let last = log.segments.last, last.size > 0 else { continue }
      if Self.isOlder(last.openedAt, than: age, at: now) { last.isClosed = true }
    }
  }

  /// What is older than `message_expiry`; `now` in µs.
  func expired(_ logs: [PartitionLog], now: UInt64) -> [Cut] {
    guard let age = settings.retentionAge else { return [] }
    return logs.compactMap { log in
      let count = Self.closed(log).prefix { Self.isOlder($0.writtenAt, than: age, at: now) }.count
      return count == 0 ? nil : (log, Self.end(of: log.segments[count - 1], log))
    }
  }

  /// The oldest of what is too much for `max_topic_size`.
  func surplus(_ logs: [PartitionLog]) -> [Cut] {
    guard let limit = settings.retentionBytes else { return [] }
    var bytes = logs.reduce(0) { $0 + $1.bytes }
    guard bytes > limit else { return [] }
    let closed = logs.flatMap(Self.closedInOrder)
      .sorted { ($0.writtenAt, $0.segment.base) < ($1.writtenAt, $1.segment.base) }
    var cuts: [Cut] = []
    for item in closed where bytes > limit {
      bytes -= item.segment.size
      cuts.append((item.log, Self.end(of: item.segment, item.log)))
    }
    return cuts
  }

  private typealias Closed = (log: PartitionLog, segment: Segment, writtenAt: UInt64)

  /// A segment counts as no older than those before it, whatever is known of it: recovered ones
  /// have no age yet, clocks go back, and a cut takes everything below it.
  private static func closedInOrder(_ log: PartitionLog) -> [Closed] {
    var latest: UInt64 = 0
    return closed(log).map { segment in
      latest = max(latest, segment.writtenAt)
      return (log, segment, latest)
    }
  }

  /// Segments to which nothing is added any more. One of which records wait in memory is not.
  private static func closed(_ log: PartitionLog) -> ArraySlice<Segment> {
    let segments = log.segments
    guard let last = segments.last else { return [] }
    let isLastClosed = last.isClosed && last.size > 0 && !log.isFlushing
    let closed = isLastClosed ? segments[...] : segments.dropLast()
    // What recovery found of a segment may wait in memory although there is a later one.
    let waiting = closed.indices.first { index in
      index + 1 < segments.count && segments[index + 1].base > log.flushedEnd
    }
    return closed[..<(waiting ?? closed.endIndex)]
  }

  private static func end(of segment: Segment, _ log: PartitionLog) -> UInt64 {
    log.segments.first { $0.base > segment.base }?.base ?? log.flushedEnd
  }

  private static func isOlder(_ time: UInt64, than age: Nanoseconds, at now: UInt64) -> Bool {
    let limit = time.addingReportingOverflow(UInt64(clamping: age.microseconds))
    return !limit.overflow && limit.partialValue < now
  }
}
