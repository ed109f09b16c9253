import Events

/// The consumer groups of a running bus, by topic and name. Members and assignments live as long as
/// their sessions, and end with the process; what a group has stored is on the log.
final class GroupRegistry {
  typealias Member = ConsumerGroup.Member

  private struct Key: Hashable {
    var topic: Topic
    var name: String
  }

  private let table: PartitionTable
  /// Generations of this process begin above it, so that none of an earlier one is taken for one.
  private var firstGeneration: UInt64
  private var groups: [Key: ConsumerGroup] = [:]

  /// Groups with members at a time; a limit on what clients can make the node remember.
  static let groupsMax = 4_096

  init(_ table: PartitionTable, firstGeneration: UInt64) {
    self.table = table
    self.firstGeneration = firstGeneration
  }

  func group(_ name: String, _ topic: Topic) -> ConsumerGroup? {
    groups[Key(topic: topic, name: name)]
  }

  func join(
    _ member: Member, group: String, topic: Topic
  ) throws(ConsumerGroup.Refusal) -> ConsumerGroup.Assignment {
    let key = Key(topic: topic, name: group)
    if groups[key] == nil {
      guard groups.count < Self.groupsMax else { throw .tooManyGroups(limit: Self.groupsMax) }
      groups[key] = ConsumerGroup(
        partitions: table.count(of: topic), generation: firstGeneration)
    }
    return try groups[key]!.join(member)
  }

  func leave(
    _ member: Member, group: String, topic: Topic
  ) throws(ConsumerGroup.Refusal) {
    let key = Key(topic: topic, name: group)
    guard groups[key] != nil else { throw .notMember }
    try groups[key]!.leave(member)
    forgetIfEmpty(key)
  }

  /// A group that begins again later goes on above the generations it has had.
  private func forgetIfEmpty(_ key: Key) {
    guard let group = groups[key], group.members.isEmpty else { return }
    firstGeneration = max(firstGeneration, group.generation)
    groups[key] = nil
  }

  /// The member's connection or session is gone: it leaves every group it is in.
  func endSession(of member: Member) {
    for key in Array(groups.keys) {
      try? groups[key]!.leave(member)
      forgetIfEmpty(key)
    }
  }

  func check(
    _ member: Member, generation: UInt64, group: String, _ target: TopicPartition
  ) throws(ConsumerGroup.Refusal) {
    guard let group = self.group(group, target.topic) else { throw .notMember }
    try group.check(member, generation: generation, partition: target.partition)
  }
}
