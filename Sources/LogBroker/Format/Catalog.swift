import Base
import Events

/// Which topics a data directory has, their numbers in frames and their partition counts.
struct Catalog: Hashable {
  static let version = 1
  static let path = "log/catalog.json"
  /// SEMANTICS D2: a power of two, fixed when the catalog is created.
  static let partitionsMax = 4_096
  /// Of a topic with a count of its own.
  static let topicPartitionsMax = 65_536

  struct Entry: Hashable {
    var number: UInt16
    /// `stream/topic`
    var path: String
    var partitions: Int
    var settings = TopicSettings()
  }

  /// Of each session-keyed topic.
  var partitions: Int
  var entries: [Entry]
  /// Of the key that batches are enciphered with, from some time on; nil for none.
  var keyID: UInt32?
  /// What the journal files have at least, durably; empty in a catalog of an earlier release.
  var journalBytes: [Int] = []

  /// The catalog of a new data directory.
  init(partitions: Int) {
    self.partitions = partitions
    entries = []
    addMissing()
  }

  /// Adds the topics this release knows and the catalog does not. Returns whether there were any.
  @discardableResult
  mutating func addMissing() -> Bool {
    let before = entries.count
    for topic in Topic.allCases where !entries.contains(where: { $0.path == topic.path }) {
      let number = (entries.map(\.number).max() ?? 0) + 1
      entries.append(
        Entry(
          number: number, path: topic.path, partitions: topic.isSessionKeyed ? partitions : 1))
    }
    return entries.count != before
  }

  /// Adds topics that have counts of their own and are not there. Returns whether there were any.
  mutating func add(_ topics: [Topic: Int]) -> Bool {
    let before = entries.count
    for (topic, count) in topics where !entries.contains(where: { $0.path == topic.path }) {
      let number = (entries.map(\.number).max() ?? 0) + 1
      entries.append(Entry(number: number, path: topic.path, partitions: count))
    }
    return entries.count != before
  }

  /// Takes over how topics are to be kept. Returns whether that differs from before.
  @discardableResult
  mutating func adopt(_ settings: [Topic: TopicSettings]) -> Bool {
    let before = entries
    for (topic, wanted) in settings {
      guard let index = entries.firstIndex(where: { $0.path == topic.path }) else { continue }
      entries[index].settings = wanted
    }
    return entries != before
  }

  /// Whether what the log holds can be read with `key`.
  func check(_ key: LogKey?) throws(LogBrokerError) {
    guard let keyID, key?.id != keyID else { return }
    throw .wrongKey(needed: LogKey.name(keyID), given: key.map { LogKey.name($0.id) })
  }

  /// Takes over what is enciphered with from now on. Returns whether that differs from before.
  mutating func adopt(_ key: LogKey?) throws(LogBrokerError) -> Bool {
    try check(key)
    defer { keyID = key?.id }
    return keyID != key?.id
  }

  /// Reads what `encoded` wrote.
  init(_ bytes: [UInt8]) throws(LogBrokerError) {
    func damaged(_ reason: String) -> LogBrokerError { .damaged(file: Self.path, reason: reason) }
    let json = try SealedJSON.decode(bytes, file: Self.path, version: Self.version)
    guard let count = json["partitions"]?.int, let topics = json["topics"]?.array,
      (1...Int64(Self.partitionsMax)).contains(count), count & (count - 1) == 0
    else { throw damaged("a field is missing") }
    partitions = Int(count)
    keyID = json["key"]?.int.flatMap { UInt32(exactly: $0) }
    journalBytes = (json["journal_bytes"]?.array ?? []).compactMap { $0.int.map { Int($0) } }
    entries = []
    for topic in topics {
      guard let number = topic["number"]?.int, let number = UInt16(exactly: number),
        let path = topic["path"]?.string, let count = topic["partitions"]?.int,
        (1...Int64(Self.topicPartitionsMax)).contains(count)
      else { throw damaged("a topic is incomplete") }
      entries.append(
        Entry(
          number: number, path: path, partitions: Int(count), settings: TopicSettings(topic)))
    }
  }

  var encoded: [UInt8] {
    let topics = entries.map { entry -> JSON in
      var members: JSONObject = [
        "number": .int(Int64(entry.number)), "path": .string(entry.path),
        "partitions": .int(Int64(entry.partitions)),
      ]
      for (name, value) in entry.settings.members { members[name] = value }
      return .object(members)
    }
    var members: JSONObject = [
      "partitions": .int(Int64(partitions)), "topics": .array(topics),
    ]
    if let keyID { members["key"] = .int(Int64(keyID)) }
    if !journalBytes.isEmpty {
      members["journal_bytes"] = .array(journalBytes.map { .int(Int64($0)) })
    }
    return SealedJSON.encode(members, version: Self.version)
  }
}

extension Topic {
  /// `stream/topic`, which is also its directory.
  var path: String { "\(stream)/\(name)" }
}
