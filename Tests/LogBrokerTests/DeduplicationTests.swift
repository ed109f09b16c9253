// Contract: on a topic with a window, a message id is appended once in it: repeats get the first
// one's offset, in one append, in one commit, later, and after a close, a kill or a power loss;
// after a failed append it may be sent again; outside the window, and on other topics, nothing is
// dropped.

import Base
import Events
import LogBroker
import TestSupport
import Testing

@Suite struct DeduplicationTests {
  private let target = TopicPartition(.costs, 0)

  private func open(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits = BusWorkload.limits
    var settings = TopicSettings()
    settings.deduplicationWindow = .seconds(60)
    options.topics[.costs] = settings
    return try EmbeddedBus.open(options)
  }

  private func append(
    _ bus: EmbeddedBus, _ loop: SimulatedLoop, _ numbers: [Int], to target: TopicPartition
  ) -> [UInt64]? {
    var firsts: [UInt64]?
    let records = numbers.map { BusFixtures.record($0, bytes: 300) }
    bus.append([PartitionBatch(target, records)]) { firsts = try? $0.get() }
    loop.settle()
    return firsts
  }

  @Test func repeatsGetTheFirstOnesOffset() throws {
    let loop = SimulatedLoop(seed: 1)
    let bus = try open(SimulatedDisk(loop: loop, seed: 1), loop)
    #expect(append(bus, loop, [1, 2, 1, 3], to: target) == [0])
    #expect(bus.endOffset(of: target) == 3)
    #expect(append(bus, loop, [2], to: target) == [1])
    #expect(append(bus, loop, [4, 2, 5], to: target) == [3])
    #expect(bus.endOffset(of: target) == 5 && bus.metrics.duplicates.value == 3)
    // Several appends in one commit.
    var offsets: [[UInt64]] = []
    for numbers in [[6], [6], [1, 7], [7]] {
      let records = numbers.map { BusFixtures.record($0) }
      bus.append([PartitionBatch(target, records)]) { offsets.append((try? $0.get()) ?? []) }
    }
    loop.settle()
    #expect(offsets == [[5], [5], [0], [6]])
    loop.manualClock.advance(.seconds(61))
    #expect(append(bus, loop, [1], to: target) == [7], "outside the window")
    let other = TopicPartition(.latency, 0)
    #expect(append(bus, loop, [1, 1], to: other) == [0])
    #expect(bus.endOffset(of: other) == 2)
  }

  @Test(arguments: BusWorkload.End.allCases)
  func theWindowOutlivesTheProcess(end: BusWorkload.End) throws {
    var loop = SimulatedLoop(seed: 2)
    var disk = SimulatedDisk(loop: loop, seed: 2)
    var bus = try open(disk, loop)
    for number in 0..<60 { _ = append(bus, loop, [number], to: target) }
    if end == .close {
      bus.close {}
      loop.settle()
    }
    loop.forgetEverything()
    let next = SimulatedLoop(seed: 3)
    disk = end == .powerLoss ? disk.afterPowerLoss(loop: next) : disk.afterKill(loop: next)
    loop = next
    bus = try open(disk, loop)
    for number in [59, 0, 31] {
      #expect(append(bus, loop, [number], to: target) == [UInt64(number)])
    }
    #expect(append(bus, loop, [60], to: target) == [60])
  }

  @Test func whatFailedMayBeSentAgain() throws {
    let loop = SimulatedLoop(seed: 4)
    let disk = SimulatedDisk(loop: loop, seed: 4)
    let bus = try open(disk, loop)
    #expect(append(bus, loop, [1], to: target) == [0])
    disk.faults[disk.calls] = .diskFull
    #expect(append(bus, loop, [2], to: target) == nil)
    #expect(append(bus, loop, [2], to: target) == [1])
    #expect(append(bus, loop, [2], to: target) == [1])
    #expect(bus.endOffset(of: target) == 2)
  }
}
