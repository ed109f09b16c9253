// Contract: a log can be read beside the node that has it, at any moment and without its lock; what
// is shown is a prefix of each partition, durable, and complete up to the last acknowledgement.

import Base
import Events
import LogBroker
import TestSupport
import Testing
import UringIO

@Suite struct OfflineLogTests {
  private let target = TopicPartition(.audit, 0)

  private func readAll(_ log: OfflineLog) throws -> [Int] {
    var numbers: [Int] = []
    while UInt64(numbers.count) < log.endOffset(of: target) {
      let page = try log.poll(
        PollRequest(
          target, from: .offset(UInt64(numbers.count)), countMax: 1_000, bytesMax: 1 << 20))
      try #require(!page.records.isEmpty)
      for record in page.records {
        #expect(record.offset == UInt64(numbers.count))
        numbers.append(BusFixtures.number(record))
      }
    }
    return numbers
  }

  /// Looks after every few turns of a busy bus whose journal wraps many times.
  @Test func itReadsBesideARunningNode() throws {
    let loop = SimulatedLoop(seed: 8)
    let disk = SimulatedDisk(loop: loop, seed: 8)
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits = BusWorkload.limits
    let bus = try EmbeddedBus.open(options)
    let log = try OfflineLog(storage: disk, dataDirectory: "simulated")
    #expect(try readAll(log).isEmpty)
    var acknowledged = 0
    for number in 0..<300 {
      bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: 400)])]) { _ in
        acknowledged += 1
      }
      for _ in 0..<3 { loop.turn() }
      guard number % 7 == 0 else { continue }
      try log.refresh()
      let numbers = try readAll(log)
      #expect(numbers == Array(0..<numbers.count))
      #expect(numbers.count >= acknowledged)
    }
    loop.settle()
    #expect(bus.metrics.checkpoints.value > 3)
    try log.refresh()
    #expect(try readAll(log) == Array(0..<300))
    let audit = try #require(log.status().first { $0.topic == .audit })
    #expect(audit.messages == 300 && audit.bytes > 300 * 400)
  }

  @Test func itReadsADirectoryOnDisk() throws {
    let directory = try TemporaryDirectory()
    let storage = DiskStorage(root: directory.path)
    #expect(throws: LogBrokerError.failed("there is no log in \(directory.path)")) {
      try OfflineLog(storage: storage, dataDirectory: directory.path)
    }
    try LoopHarness.run { harness in
      let bus = try EmbeddedBus.open(
        EmbeddedBusOptions(
          storage: RingStorage(root: directory.path, loop: harness.loop), loop: harness.loop,
          logger: BusFixtures.logger(), dataDirectory: directory.path))
      var acknowledged = 0
      for number in 0..<50 {
        bus.append([PartitionBatch(target, [BusFixtures.record(number)])]) { _ in
          acknowledged += 1
        }
      }
      bus.storeOffset(11, group: "engine", of: target) { _ in acknowledged += 1 }
      #expect(harness.until { acknowledged == 51 })
      let log = try OfflineLog(storage: storage, dataDirectory: directory.path)
      #expect(try readAll(log) == Array(0..<50))
      #expect(log.storedOffset(group: "engine", of: target) == 11)
      #expect(log.partitionCount(of: .journal) == 16)
    }
  }
}
