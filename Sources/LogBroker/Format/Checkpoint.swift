import Base

/// What is in the segment files, durably, so that a journal may be written over; replaced as a
/// whole. Recovery is this, and the journal frames of later generations.
struct Checkpoint: Hashable {
  static let version = 1
  static let path = "log/checkpoint.json"

  struct Segment: Hashable {
    var base: UInt64
    /// Synced bytes; what follows in the file counts only where it was written directly.
    var size: Int
    /// Names this use of the file; 0 when nothing is written to it directly.
    var id: UInt64 = 0
    /// Append time of its first record, µs.
    var firstTime: UInt64 = 0
    /// When its first and its last record were written, µs.
    var openedAt: UInt64 = 0
    var writtenAt: UInt64 = 0
    /// Bytes of its packed copy, which stands for it; 0 when it has none.
    var packedBytes = 0
  }

  struct Partition: Hashable {
    /// The topic's number in the catalog.
    var topic: UInt16
    var partition: UInt32
    /// The first offset that is kept.
    var start: UInt64
    /// The offset after the last record in the segments.
    var end: UInt64
    /// Append time of that record, µs.
    var time: UInt64
    /// Header checksum of that record's frame.
    var chain: UInt32 = 0
    /// Those at its end may have begun behind what is synced.
    var segments: [Segment]
    var gaps: [Range<UInt64>] = []
    var reservation: OffsetReservation?
  }

  struct Offset: Hashable {
    var topic: UInt16
    var partition: UInt32
    var group: String
    var offset: UInt64
  }

  /// Journal files up to this generation may be written over.
  var released: UInt64 = 0
  var partitions: [Partition] = []
  var offsets: [Offset] = []
  /// Files that are no longer named, and may be there still.
  var removed: [String] = []
  /// When the clock was last believed.
  var clock: ClockGuard.Anchor?

  init() {}

  init(_ bytes: [UInt8]) throws(LogBrokerError) {
    let json = try SealedJSON.decode(bytes, file: Self.path, version: Self.version)
    guard let generation = json["released"]?.count, let partitions = json["partitions"]?.array,
      let offsets = json["offsets"]?.array
    else { throw .damaged(file: Self.path, reason: "a field is missing") }
    released = generation
    removed = json["removed"]?.array?.compactMap(\.string) ?? []
    if let clock = json["clock"] {
      guard let clock = ClockGuard.Anchor(clock) else {
        throw .damaged(file: Self.path, reason: "its clock is incomplete")
      }
      self.clock = clock
    }
    for partition in partitions {
      guard let partition = Partition(partition) else {
        throw .damaged(file: Self.path, reason: "a partition is incomplete")
      }
      self.partitions.append(partition)
    }
    for offset in offsets {
      guard let offset = Offset(offset) else {
        throw .damaged(file: Self.path, reason: "an offset is incomplete")
      }
      self.offsets.append(offset)
    }
  }

  var encoded: [UInt8] {
    var members: JSONObject = [
      "released": .count(released), "partitions": .array(partitions.map(\.json)),
      "offsets": .array(offsets.map(\.json)),
    ]
    if !removed.isEmpty { members["removed"] = .array(removed.map { .string($0) }) }
    if let clock { members["clock"] = clock.json }
    return SealedJSON.encode(members, version: Self.version)
  }
}

extension Checkpoint.Partition {
  fileprivate init?(_ json: JSON) {
    guard let topic = json["topic"]?.count, let topic = UInt16(exactly: topic),
      let partition = json["partition"]?.count, let partition = UInt32(exactly: partition),
      let start = json["start"]?.count, let end = json["end"]?.count,
      let time = json["time"]?.count,
      let segments = json["segments"]?.array, let gaps = Self.gaps(json["gaps"])
    else { return nil }
    self.init(
      topic: topic, partition: partition, start: start, end: end, time: time, segments: [],
      gaps: gaps)
    chain = json["chain"]?.count.flatMap { UInt32(exactly: $0) } ?? 0
    if let saved = json["reserved"] {
      guard let saved = OffsetReservation(saved) else { return nil }
      reservation = saved
    }
    for segment in segments {
      guard let parts = segment.array, (2...3).contains(parts.count), let base = parts[0].count,
        let size = parts[1].count, let size = Int(exactly: size),
        base < end || size == 0,
        self.segments.last.map({ $0.base < base }) ?? true,
        let id = parts.count == 3 ? parts[2].count : 0
      else { return nil }
      self.segments.append(.init(base: base, size: size, id: id))
    }
    if let times = json["times"] {
      guard let times = times.array, times.count == self.segments.count else { return nil }
      for (index, pair) in times.enumerated() {
        guard let times = pair.array, times.count == 3, let first = times[0].count,
          let opened = times[1].count, let written = times[2].count
        else { return nil }
        self.segments[index].firstTime = first
        self.segments[index].openedAt = opened
        self.segments[index].writtenAt = written
      }
    }
    guard takePacked(json["packed"]) else { return nil }
  }

  /// False when they are none.
  private mutating func takePacked(_ json: JSON?) -> Bool {
    guard let json else { return true }
    guard let packed = json.array, packed.count == segments.count else { return false }
    for (index, bytes) in packed.enumerated() {
      guard let bytes = bytes.count, let bytes = Int(exactly: bytes) else { return false }
      segments[index].packedBytes = bytes
    }
    return true
  }

  /// Nil when they are none; empty when there are none.
  private static func gaps(_ json: JSON?) -> [Range<UInt64>]? {
    guard let json else { return [] }
    var gaps: [Range<UInt64>] = []
    for gap in json.array ?? [nil] {
      guard let pair = gap.array, pair.count == 2, let from = pair[0].count,
        let to = pair[1].count, from < to, (gaps.last?.upperBound ?? 0) <= from
      else { return nil }
      gaps.append(from..<to)
    }
    return gaps
  }

  fileprivate var json: JSON {
    var members: JSONObject = [
      "topic": .count(UInt64(topic)), "partition": .count(UInt64(partition)),
      "start": .count(start), "end": .count(end), "time": .count(time),
      "chain": .count(UInt64(chain)), "segments": .array(segments.map(\.json)),
    ]
    members["times"] = .array(
      segments.map { [.count($0.firstTime), .count($0.openedAt), .count($0.writtenAt)] })
    if segments.contains(where: { $0.packedBytes > 0 }) {
      members["packed"] = .array(segments.map { .count(UInt64($0.packedBytes)) })
    }
    if !gaps.isEmpty {
      members["gaps"] = .array(gaps.map { [.count($0.lowerBound), .count($0.upperBound)] })
    }
    if let reservation { members["reserved"] = reservation.json }
    return .object(members)
  }
}

extension ClockGuard.Anchor {
  fileprivate init?(_ json: JSON) {
    guard let wall = json["wall"]?.int, let monotonic = json["monotonic"]?.int,
      let boot = json["boot"]?.string.flatMap({ UInt128($0, radix: 16) })
    else { return nil }
    self.init(
      wall: Timestamp(microseconds: wall), monotonic: Nanoseconds(monotonic), boot: boot)
  }

  fileprivate var json: JSON {
    [
      "wall": .int(wall.microseconds), "monotonic": .int(monotonic.count),
      "boot": .string(String(boot, radix: 16)),
    ]
  }
}

extension OffsetReservation {
  fileprivate init?(_ json: JSON) {
    guard let boot = json["boot"]?.string.flatMap({ UInt128($0, radix: 16) }),
      let start = json["start"]?.count, let end = json["end"]?.count, start <= end
    else { return nil }
    self.init(boot: boot, start: start, end: end)
  }

  fileprivate var json: JSON {
    ["boot": .string(String(boot, radix: 16)), "start": .count(start), "end": .count(end)]
  }
}

extension Checkpoint.Segment {
  fileprivate var json: JSON {
    id == 0
      ? [.count(base), .count(UInt64(size))] : [.count(base), .count(UInt64(size)), .count(id)]
  }
}

extension Checkpoint.Offset {
  fileprivate init?(_ json: JSON) {
    guard let topic = json["topic"]?.count, let topic = UInt16(exactly: topic),
      let partition = json["partition"]?.count, let partition = UInt32(exactly: partition),
      let group = json["group"]?.string, let offset = json["offset"]?.count
    else { return nil }
    self.init(topic: topic, partition: partition, group: group, offset: offset)
  }

  fileprivate var json: JSON {
    [
      "topic": .count(UInt64(topic)), "partition": .count(UInt64(partition)),
      "group": .string(group), "offset": .count(offset),
    ]
  }
}

extension JSON {
  /// Counts stay below 2⁶³: at a million records a second an offset takes 292,000 years to get
  /// there.
  fileprivate static func count(_ value: UInt64) -> JSON { .int(Int64(clamping: value)) }
  fileprivate var count: UInt64? { int.flatMap { UInt64(exactly: $0) } }
}
