// Contract: at every moment each partition has exactly one owner while there is a member; members
// differ by one partition at most; a change moves ⌈P/n⌉ at most and takes from nobody without need;
// generations rise with every change; who does not own a partition in the group's generation is
// refused. Held for every history of joins and leaves of a small space, and for random large ones.

import Base
import LogBroker
import Testing

@Suite struct ConsumerGroupTests {
  private typealias Member = ConsumerGroup.Member

  /// One change, checked against the group before it.
  private func step(
    _ before: ConsumerGroup, _ member: Member, joins: Bool
  ) throws -> (group: ConsumerGroup, problem: String?) {
    var after = before
    if joins { try after.join(member) } else { try after.leave(member) }
    return (after, problem(before, after, member, joins: joins))
  }

  private func problem(
    _ before: ConsumerGroup, _ after: ConsumerGroup, _ member: Member, joins: Bool
  ) -> String? {
    let count = after.owners.count
    guard after.generation == before.generation + 1 else { return "the generation did not rise" }
    let isEmpty = after.members.isEmpty
    if after.owners.contains(where: { ($0 == nil) != isEmpty }) { return "owners and members" }
    if after.owners.contains(where: { $0.map { !after.members.contains($0) } ?? false }) {
      return "a stranger owns"
    }
    let shares = after.members.map { member in after.owners.count { $0 == member } }
    if let most = shares.max(), let least = shares.min(), most - least > 1 {
      return "shares \(shares)"
    }
    let moved = zip(before.owners, after.owners).count { $0 != $1 }
    let larger = max(before.members.count, after.members.count)
    if moved > (count + larger - 1) / larger { return "\(moved) of \(count) moved for \(larger)" }
    // Only the newcomer gains, or only the leaver loses.
    for (old, new) in zip(before.owners, after.owners) where old != new {
      if joins ? new != member : old != member { return "a partition moved without need" }
    }
    return nil
  }

  /// Every history of up to `depth` changes among four members.
  private func explore(_ group: ConsumerGroup, depth: Int, _ seen: inout Int) throws {
    seen += 1
    if depth == 0 { return }
    for member: Member in 1...4 {
      let (next, problem) = try step(group, member, joins: !group.members.contains(member))
      if let problem {
        Issue.record("\(problem): \(group.owners) -> \(next.owners)")
        return
      }
      try explore(next, depth: depth - 1, &seen)
    }
  }

  @Test(arguments: 1...7) func everySmallHistory(partitions: Int) throws {
    var seen = 0
    try explore(ConsumerGroup(partitions: partitions), depth: 6, &seen)
    #expect(seen == 5_461)
  }

  @Test func everyMemberOwnsExactlyWhatItIsTold() throws {
    var group = ConsumerGroup(partitions: 5, generation: 41)
    try group.join(1)
    try group.join(2)
    #expect(group.generation == 43)
    let mine = try group.assignment(of: 1)
    let others = try group.assignment(of: 2)
    #expect((mine.partitions + others.partitions).sorted() == Array(0..<5))
    for partition in 0..<5 {
      let owner: Member = mine.partitions.contains(partition) ? 1 : 2
      try group.check(owner, generation: 43, partition: partition)
      #expect(throws: ConsumerGroup.Refusal.notOwner(partition: partition)) {
        try group.check(3 - owner, generation: 43, partition: partition)
      }
      #expect(throws: ConsumerGroup.Refusal.staleGeneration(current: 43)) {
        try group.check(owner, generation: 42, partition: partition)
      }
    }
    #expect(throws: ConsumerGroup.Refusal.notMember) {
      try group.check(3, generation: 43, partition: 0)
    }
    #expect(throws: ConsumerGroup.Refusal.notOwner(partition: 9)) {
      try group.check(1, generation: 43, partition: 9)
    }
    #expect(throws: ConsumerGroup.Refusal.notMember) { try group.leave(3) }
    #expect(try group.join(1) == mine, "joining twice changes nothing")
  }

  @Test func aGroupHasALimit() throws {
    var group = ConsumerGroup(partitions: 1)
    for member in 0..<ConsumerGroup.membersMax { try group.join(Member(member)) }
    let limit = ConsumerGroup.Refusal.tooManyMembers(limit: ConsumerGroup.membersMax)
    #expect(throws: limit) { try group.join(Member.max) }
  }

  @Test(arguments: 0..<40) func randomHistories(seed: Int) throws {
    let random = SeededRandom(seed: UInt64(seed))
    var group = ConsumerGroup(partitions: 1 + Int(random.next(below: 64)))
    for _ in 0..<200 {
      let member = Member(random.next(below: 24))
      let (next, problem) = try step(group, member, joins: !group.members.contains(member))
      #expect(problem == nil, "seed \(seed)")
      group = next
    }
  }
}
