package import Events

/// Consumer groups with members. The offsets they store are those of `storeOffset(_:group:of:)`.
extension EmbeddedBus {
  package typealias GroupMember = ConsumerGroup.Member

  /// Takes a member into a group of a topic, which begins with its first member. `member` is one
  /// connection's or session's, never used for another.
  package func joinGroup(
    _ group: String, of topic: Topic, member: GroupMember
  ) throws(ConsumerGroup.Refusal) -> ConsumerGroup.Assignment {
    try groups.join(member, group: group, topic: topic)
  }

  package func leaveGroup(
    _ group: String, of topic: Topic, member: GroupMember
  ) throws(ConsumerGroup.Refusal) { try groups.leave(member, group: group, topic: topic) }

  /// The member's connection or session has ended, however: it is in no group any more.
  package func endSession(of member: GroupMember) { groups.endSession(of: member) }

  /// What the member is to read now; asked for again when something is refused as stale.
  package func assignment(
    in group: String, of topic: Topic, member: GroupMember
  ) throws(ConsumerGroup.Refusal) -> ConsumerGroup.Assignment {
    guard let group = groups.group(group, topic) else { throw .notMember }
    return try group.assignment(of: member)
  }

  /// The group as it is; nil when nobody has joined it.
  package func consumerGroup(_ group: String, of topic: Topic) -> ConsumerGroup? {
    groups.group(group, topic)
  }

  /// Stores an offset for a group as one of its members. Refused at once when the member does not
  /// own the partition in the group's `generation`.
  package func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition, member: GroupMember,
    generation: UInt64, completion: @escaping (Result<Void, BusError>) -> Void
  ) throws(ConsumerGroup.Refusal) {
    try groups.check(member, generation: generation, group: group, target)
    storeOffset(offset, group: group, of: target, completion: completion)
  }

  /// The same, also where it takes the offset back.
  package func rewindOffset(
    to offset: UInt64, group: String, of target: TopicPartition, member: GroupMember,
    generation: UInt64, completion: @escaping (Result<Void, BusError>) -> Void
  ) throws(ConsumerGroup.Refusal) {
    try groups.check(member, generation: generation, group: group, target)
    rewindOffset(to: offset, group: group, of: target, completion: completion)
  }
}
