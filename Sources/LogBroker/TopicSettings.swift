package import Base

/// What an acknowledgement means, with Apache Iggy's names.
package enum Durability: String, Sendable, Hashable, Comparable, CaseIterable {
  /// The kernel has the records: they survive the end of the process, however it ends, and not the
  /// machine's. At most `LogLimits.unsyncedBytesMax` and `LogLimits.unsyncedTimeMax` are so.
  case replicated
  /// The records are on the disk (fdatasync has returned).
  case persisted

  package static func < (left: Durability, right: Durability) -> Bool {
    left == .replicated && right == .persisted
  }
}

/// What becomes of closed segments.
package enum Compression: String, Sendable, Hashable, CaseIterable {
  /// They stay as they are.
  case none
  /// They are packed in the background; reading inflates a block at a time.
  case zstd
}

/// How a topic is kept. In the catalog under Apache Iggy's option names, where it has one.
package struct TopicSettings: Sendable, Hashable {
  /// `durability`
  package var durability = Durability.persisted
  /// `segment_size`: a segment that has reached this is closed; nil for the log's own limit. Bytes.
  package var segmentBytes: Int?
  /// `segment_age`: a segment whose first record is older is closed; nil for never.
  package var segmentAge: Nanoseconds? = .seconds(7 * 86_400)
  /// `max_topic_size`: the oldest closed segments go while the topic is larger; nil for no limit.
  /// Bytes.
  package var retentionBytes: Int?
  /// `message_expiry`: closed segments go whose last record is older; nil for never.
  package var retentionAge: Nanoseconds?

  /// `compression_algorithm`; sizes above count the bytes before it.
  package var compression = Compression.none

  /// `deduplication_window`: a record whose message id was appended to its partition not longer ago
  /// is not appended again; nil for never. Of this log's own catalog alone: another bus has none.
  package var deduplicationWindow: Nanoseconds?

  package init() {}
}

extension TopicSettings {
  /// Reads the members of a topic in the catalog; what is not there has its default.
  init(_ json: JSON) {
    durability = json["durability"]?.string.flatMap { Durability(rawValue: $0) } ?? .persisted
    segmentBytes = Self.count(json["segment_size"])
    if let age = json["segment_age"] { segmentAge = Self.span(age) }
    retentionBytes = Self.count(json["max_topic_size"])
    retentionAge = Self.span(json["message_expiry"])
    compression =
      json["compression_algorithm"]?.string.flatMap { Compression(rawValue: $0) } ?? .none
    deduplicationWindow = Self.span(json["deduplication_window"])
  }

  /// As members of a topic in the catalog; times in µs, 0 where there is no limit.
  var members: [(name: String, value: JSON)] {
    [
      ("durability", .string(durability.rawValue)),
      ("segment_size", .int(Int64(segmentBytes ?? 0))),
      ("segment_age", .int((segmentAge?.count ?? 0) / 1_000)),
      ("max_topic_size", .int(Int64(retentionBytes ?? 0))),
      ("message_expiry", .int((retentionAge?.count ?? 0) / 1_000)),
      ("compression_algorithm", .string(compression.rawValue)),
      ("deduplication_window", .int((deduplicationWindow?.count ?? 0) / 1_000)),
    ]
  }

  private static func count(_ json: JSON?) -> Int? {
    json?.int.flatMap { $0 > 0 ? Int(clamping: $0) : nil }
  }

  private static func span(_ json: JSON?) -> Nanoseconds? {
    guard let micros = json?.int, micros > 0 else { return nil }
    return Nanoseconds(min(micros, .max / 1_000) * 1_000)
  }
}
