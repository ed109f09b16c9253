import Events

/// All partitions of the catalog; those that hold nothing are not there yet.
final class PartitionTable {
  /// Of each session-keyed topic.
  let partitionCount: Int
  private let counts: [Int]
  private let numbers: [UInt16]
  private let settings: [TopicSettings]
  private let topicsByNumber: [UInt16: Topic]
  private var logs: [[PartitionLog?]]
  /// Partitions that hold anything.
  private(set) var existingCount = 0
  /// What batches are enciphered with; nil for not at all.
  let cipher: BatchCipher?

  /// - Parameter durabilityFloor: the least any topic gets.
  init(
    _ catalog: Catalog, durabilityFloor: Durability = .replicated, cipher: BatchCipher? = nil
  ) {
    self.cipher = cipher
    partitionCount = catalog.partitions
    var byNumber: [UInt16: Topic] = [:]
    var counts: [Int] = []
    var numbers: [UInt16] = []
    var settings: [TopicSettings] = []
    for topic in Topic.everyCase {
      // `addMissing` has seen to it that every topic of a node is there.
      let entry = catalog.entries.first { $0.path == topic.path }
      counts.append(entry?.partitions ?? 0)
      numbers.append(entry?.number ?? 0)
      var kept = entry?.settings ?? TopicSettings()
      kept.durability = max(durabilityFloor, kept.durability)
      settings.append(kept)
      if let entry { byNumber[entry.number] = topic }
    }
    self.counts = counts
    self.numbers = numbers
    self.settings = settings
    topicsByNumber = byNumber
    logs = counts.map { [PartitionLog?](repeating: nil, count: $0) }
  }

  func count(of topic: Topic) -> Int { counts[topic.rawValue] }

  func settings(of topic: Topic) -> TopicSettings { settings[topic.rawValue] }
  func durability(of topic: Topic) -> Durability { settings[topic.rawValue].durability }

  /// Whether any topic's records go by themselves.
  var hasRetention: Bool {
    settings.contains { $0.retentionAge != nil || $0.retentionBytes != nil }
  }

  /// The topic's partitions that hold anything.
  func existing(_ topic: Topic) -> [PartitionLog] { logs[topic.rawValue].compactMap { $0 } }

  func contains(_ target: TopicPartition) -> Bool {
    (0..<count(of: target.topic)).contains(target.partition)
  }

  /// The partition if it holds anything.
  func existing(_ target: TopicPartition) -> PartitionLog? {
    contains(target) ? logs[target.topic.rawValue][target.partition] : nil
  }

  /// The partition, which the table `contains`.
  func log(_ target: TopicPartition) -> PartitionLog {
    if let log = logs[target.topic.rawValue][target.partition] { return log }
    let log = PartitionLog(
      target: target, topicNumber: numbers[target.topic.rawValue],
      settings: settings[target.topic.rawValue], cipher: cipher)
    logs[target.topic.rawValue][target.partition] = log
    existingCount += 1
    return log
  }

  /// What a frame on disk names; nil when the catalog has no such partition.
  func log(number: UInt16, partition: UInt32) -> PartitionLog? {
    guard let topic = topicsByNumber[number] else { return nil }
    let target = TopicPartition(topic, Int(partition))
    return contains(target) ? log(target) : nil
  }

  var all: [PartitionLog] { logs.flatMap { $0.compactMap { $0 } } }

  func status() -> [TopicStatus] {
    Topic.everyCase.filter { count(of: $0) > 0 }.map { topic in
      let logs = logs[topic.rawValue].compactMap { $0 }
      return TopicStatus(
        topic: topic, partitions: count(of: topic),
        messages: logs.reduce(0) { $0 + $1.recordCount },
        bytes: logs.reduce(0) { $0 + $1.bytes })
    }
  }
}

/// Consumer groups' offsets; they go back only where that was asked for.
struct GroupOffsets {
  struct Key: Hashable {
    var topic: UInt16
    var partition: UInt32
    var group: String
  }

  private(set) var byKey: [Key: UInt64] = [:]

  subscript(key: Key) -> UInt64? { byKey[key] }

  /// Takes over what was stored.
  mutating func apply(_ stored: GroupOffset, _ key: Key) {
    if stored.isRewind { byKey[key] = stored.offset } else { raise(key, to: stored.offset) }
  }

  /// Sets an offset, unless that would take it back.
  mutating func raise(_ key: Key, to offset: UInt64) {
    byKey[key] = max(offset, byKey[key] ?? 0)
  }
}

extension PartitionLog {
  func offsetKey(group: String) -> GroupOffsets.Key {
    .init(topic: topicNumber, partition: UInt32(target.partition), group: group)
  }
}
