/// Who of a group's members reads which partition of one topic. Sans I/O: every call says what
/// changed, nothing is stored and nothing waits.
///
/// A partition has one owner at most in each generation, and generations only rise. A member that
/// joins gets partitions of those that have most; what a member leaves is dealt to those that have
/// least: a change moves ⌈P/n⌉ partitions at most, where n counts the members of the larger of
/// the two memberships. Partitions differ by one at most between members afterwards.
package struct ConsumerGroup: Sendable, Hashable {
  /// A member, as its connection or session is named.
  package typealias Member = UInt128

  /// Why something a member asked for is refused.
  package enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// It never joined, left, or its session ended.
    case notMember
    /// The group has changed since: the member has to look at its partitions anew.
    case staleGeneration(current: UInt64)
    /// Another member has the partition, or none.
    case notOwner(partition: Int)
    case tooManyMembers(limit: Int)
    case tooManyGroups(limit: Int)

    package var description: String {
      switch self {
      case .notMember: "not a member of the group; join it"
      case .staleGeneration(let current):
        "the group is in generation \(current) now; ask for the assignment again"
      case .notOwner(let partition): "partition \(partition) is not this member's"
      case .tooManyMembers(let limit): "a group has at most \(limit) members"
      case .tooManyGroups(let limit): "there are \(limit) groups with members already"
      }
    }
  }

  /// What a member is to read.
  package struct Assignment: Sendable, Hashable {
    package var generation: UInt64
    /// Ascending.
    package var partitions: [Int]
  }

  /// More than a topic has partitions would only wait.
  package static let membersMax = 1_024

  package private(set) var generation: UInt64
  /// By partition; nil while there is no member.
  package private(set) var owners: [Member?]
  /// In the order they joined.
  package private(set) var members: [Member] = []

  /// - Parameters:
  ///   - partitions: of the topic.
  ///   - generation: the last one that was ever used; the first change takes the next.
  package init(partitions: Int, generation: UInt64 = 0) {
    owners = [Member?](repeating: nil, count: partitions)
    self.generation = generation
  }

  // MARK: Membership

  /// Takes a member in; one that is in already changes nothing. O(P·n).
  @discardableResult
  package mutating func join(_ member: Member) throws(Refusal) -> Assignment {
    if members.contains(member) { return assignment(ofMember: member) }
    guard members.count < Self.membersMax else {
      throw .tooManyMembers(limit: Self.membersMax)
    }
    members.append(member)
    generation += 1
    var counts = counts()
    deal(&counts)
    // It takes from those that have most until it has its share.
    let share = owners.count / members.count
    while counts[member, default: 0] < share, let giver = fullest(counts) {
      let partition = owners.lastIndex(of: giver)!
      owners[partition] = member
      counts[giver]! -= 1
      counts[member]! += 1
    }
    return assignment(ofMember: member)
  }

  /// Lets a member go; what it had is dealt to the others. Also when its session has ended.
  package mutating func leave(_ member: Member) throws(Refusal) {
    guard let index = members.firstIndex(of: member) else { throw .notMember }
    members.remove(at: index)
    generation += 1
    for partition in owners.indices where owners[partition] == member { owners[partition] = nil }
    var counts = counts()
    deal(&counts)
  }

  // MARK: Asking

  /// What the member is to read now.
  package func assignment(of member: Member) throws(Refusal) -> Assignment {
    guard members.contains(member) else { throw .notMember }
    return assignment(ofMember: member)
  }

  /// Whether the member may read the partition or store its offset: it has it, and knows the group
  /// as it is.
  package func check(
    _ member: Member, generation: UInt64, partition: Int
  ) throws(Refusal) {
    guard members.contains(member) else { throw .notMember }
    guard generation == self.generation else {
      throw .staleGeneration(current: self.generation)
    }
    guard owners.indices.contains(partition), owners[partition] == member else {
      throw .notOwner(partition: partition)
    }
  }

  // MARK: Dealing

  private func assignment(ofMember member: Member) -> Assignment {
    Assignment(
      generation: generation, partitions: owners.indices.filter { owners[$0] == member })
  }

  private func counts() -> [Member: Int] {
    var counts = Dictionary(uniqueKeysWithValues: members.map { ($0, 0) })
    for case let owner? in owners { counts[owner]! += 1 }
    return counts
  }

  /// Gives each partition without an owner to the member that has least, the earliest of several.
  private mutating func deal(_ counts: inout [Member: Int]) {
    guard !members.isEmpty else { return }
    for partition in owners.indices where owners[partition] == nil {
      let member = members.min { counts[$0]! < counts[$1]! }!
      owners[partition] = member
      counts[member]! += 1
    }
  }

  /// The member that has most, the earliest of several.
  private func fullest(_ counts: [Member: Int]) -> Member? {
    members.max { counts[$0]! < counts[$1]! }
  }
}
