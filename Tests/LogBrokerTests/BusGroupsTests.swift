// Contract: members of a group on the bus read each partition of its topic once; an offset stored
// by an old generation, a stranger or another's member is refused and changes nothing; a session's
// end is a leave; generations of another process are never taken for this one's. A stored offset
// goes back where that is asked for, and stays there over restarts.

import Base
import Events
import LogBroker
import TestSupport
import Testing

@Suite struct BusGroupsTests {
  private let loop = SimulatedLoop(seed: 1)
  private let disk: SimulatedDisk
  private let target = TopicPartition(.journal, 1)

  init() { disk = SimulatedDisk(loop: loop, seed: 1) }

  private func open(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    return try EmbeddedBus.open(options)
  }

  private func store(
    _ offset: UInt64, _ bus: EmbeddedBus, member: UInt128, generation: UInt64
  ) throws -> Bool {
    var isStored = false
    try bus.storeOffset(
      offset, group: "g", of: target, member: member, generation: generation
    ) { if case .success = $0 { isStored = true } }
    loop.settle()
    return isStored
  }

  /// Stored, taken back and stored again, with a restart after each step that reads the journal and
  /// one that reads the checkpoint.
  @Test(arguments: [false, true]) func aRewindHolds(isClosed: Bool) throws {
    var disk = disk
    var loop = loop
    var bus = try open(disk, loop)
    func restart() throws {
      if isClosed {
        bus.close {}
        loop.settle()
      }
      loop.forgetEverything()
      loop = SimulatedLoop(seed: 2)
      disk = disk.afterKill(loop: loop)
      bus = try open(disk, loop)
    }
    for (asked, isRewind, expected) in [
      (9, false, 9), (4, false, 9), (4, true, 4), (3, false, 4), (6, false, 6), (0, true, 0),
    ] as [(UInt64, Bool, UInt64)] {
      var isStored = false
      let done = { (result: Result<Void, BusError>) in
        if case .success = result { isStored = true }
      }
      if isRewind {
        bus.rewindOffset(to: asked, group: "g", of: target, completion: done)
      } else {
        bus.storeOffset(asked, group: "g", of: target, completion: done)
      }
      loop.settle()
      #expect(isStored && bus.storedOffset(group: "g", of: target) == expected)
      try restart()
      #expect(bus.storedOffset(group: "g", of: target) == expected)
    }
    let member = try bus.joinGroup("g", of: .journal, member: 7)
    #expect(throws: ConsumerGroup.Refusal.notMember) {
      try bus.rewindOffset(
        to: 0, group: "g", of: target, member: 8, generation: member.generation
      ) { _ in }
    }
  }

  @Test func offsetsAreTheOwners() throws {
    let bus = try open(disk, loop)
    let alone = try bus.joinGroup("g", of: .journal, member: 7)
    #expect(alone.partitions == [0, 1])
    #expect(try store(3, bus, member: 7, generation: alone.generation))
    let second = try bus.joinGroup("g", of: .journal, member: 8)
    #expect(second.partitions == [1])
    #expect(throws: ConsumerGroup.Refusal.staleGeneration(current: second.generation)) {
      try store(9, bus, member: 7, generation: alone.generation)
    }
    #expect(throws: ConsumerGroup.Refusal.notOwner(partition: 1)) {
      try store(9, bus, member: 7, generation: second.generation)
    }
    #expect(throws: ConsumerGroup.Refusal.notMember) {
      try store(9, bus, member: 9, generation: second.generation)
    }
    #expect(bus.storedOffset(group: "g", of: target) == 3)
    #expect(try store(5, bus, member: 8, generation: second.generation))
    #expect(bus.storedOffset(group: "g", of: target) == 5)
    bus.endSession(of: 8)
    let last = try bus.assignment(in: "g", of: .journal, member: 7)
    #expect(last.partitions == [0, 1] && last.generation == second.generation + 1)
    #expect(throws: ConsumerGroup.Refusal.notMember) {
      try bus.leaveGroup("g", of: .journal, member: 8)
    }
    #expect(bus.consumerGroup("other", of: .journal) == nil)
  }

  @Test func anotherProcessHasOtherGenerations() throws {
    let bus = try open(disk, loop)
    let before = try bus.joinGroup("g", of: .journal, member: 7)
    loop.forgetEverything()
    let next = SimulatedLoop(seed: 2)
    next.manualClock.advance(.seconds(1))
    let again = try open(disk.afterKill(loop: next), next)
    let after = try again.joinGroup("g", of: .journal, member: 7)
    #expect(after.generation != before.generation)
    #expect(throws: ConsumerGroup.Refusal.self) {
      try again.storeOffset(
        1, group: "g", of: target, member: 7, generation: before.generation
      ) { _ in }
    }
  }
}
