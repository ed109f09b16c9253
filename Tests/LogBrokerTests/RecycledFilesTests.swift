// Contract: files of deleted segments are used again by the next process too; one that, after a
// power loss, still has its name as a segment is left alone. On a full disk they go before anything is
// refused.

import Base
import Events
import LogBroker
import Testing

@Suite struct RecycledFilesTests {
  private let loop = SimulatedLoop(seed: 8)
  private let disk: SimulatedDisk
  private let target = TopicPartition(.audit, 0)

  init() { disk = SimulatedDisk(loop: loop, seed: 8) }

  private func open() throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.limits = BusWorkload.limits
    return try EmbeddedBus.open(options)
  }

  private func append(_ bus: EmbeddedBus, _ numbers: Range<Int>) {
    for number in numbers {
      bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: 2_000)])]) { _ in }
      loop.settle()
    }
  }

  private func close(_ bus: EmbeddedBus) {
    bus.close {}
    loop.settle()
  }

  private var recycled: [String] { disk.paths.filter { $0.hasPrefix("log/recycled/") } }
  private var segments: [String] { disk.paths.filter { $0.hasPrefix("log/agent/agent.audit/0/") } }

  private func numbers(_ bus: EmbeddedBus, from first: UInt64) throws -> [Int] {
    var numbers: [Int] = []
    while first + UInt64(numbers.count) < bus.endOffset(of: target) {
      var result: Result<PollResult, BusError>?
      let start = PollStart.offset(first + UInt64(numbers.count))
      bus.poll(PollRequest(target, from: start, countMax: 20, bytesMax: 1 << 20)) { result = $0 }
      loop.settle()
      let records = try #require(result).get().records
      guard !records.isEmpty else { break }
      numbers += records.map(BusFixtures.number)
    }
    return numbers
  }

  /// A log with records from 60 on and files to be used again.
  private func makeLog() throws {
    let bus = try open()
    append(bus, 0..<80)
    bus.deleteRecords(of: target, upTo: 60) { _ in }
    loop.settle()
    close(bus)
    #expect(recycled.count > 1)
  }

  @Test func theNextProcessUsesThem() throws {
    try makeLog()
    let before = recycled.count
    let bus = try open()
    append(bus, 80..<110)
    #expect(recycled.count < before)
    #expect(try numbers(bus, from: 60) == Array(60..<110))
    close(bus)
    let next = try open()
    #expect(try numbers(next, from: 60) == Array(60..<110))
  }

  @Test func oneThatIsASegmentTooIsLeftAlone() throws {
    try makeLog()
    for path in recycled { disk.removeFile(path) }
    disk.link(try #require(segments.first), to: "log/recycled/0.log")
    let bus = try open()
    append(bus, 80..<110)
    #expect(recycled == ["log/recycled/0.log"])
    #expect(try numbers(bus, from: 60) == Array(60..<110))
    #expect(segments.count > 2)
  }

  /// Appends records of `bytes` one by one; returns how many were taken.
  private func taken(_ bus: EmbeddedBus, _ numbers: Range<Int>, bytes: Int) -> Int {
    var taken = 0
    for number in numbers {
      bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: bytes)])]) {
        if case .success = $0 { taken += 1 }
      }
      loop.settle()
    }
    return taken
  }

  @Test func theyMakeRoomOnAFullDisk() throws {
    try makeLog()
    let bus = try open()
    disk.capacity = disk.usedBytes
    #expect(taken(bus, 80..<140, bytes: 500) == 60)
    #expect(recycled.isEmpty)
    #expect(try numbers(bus, from: 60) == Array(60..<140))
  }

  @Test func aFullDiskWithoutThemRefuses() throws {
    try makeLog()
    for path in recycled { disk.removeFile(path) }
    let bus = try open()
    disk.capacity = disk.usedBytes
    #expect(taken(bus, 80..<140, bytes: 500) < 60)
    #expect(bus.isDiskFull)
  }

  @Test func theyMakeRoomForAStart() throws {
    try makeLog()
    disk.capacity = disk.usedBytes
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.limits = BusWorkload.limits
    // The catalog has to be written anew.
    options.topics[.plans] = TopicSettings()
    options.topics[.plans]?.retentionBytes = 1 << 20
    let bus = try EmbeddedBus.open(options)
    #expect(recycled.isEmpty)
    #expect(try numbers(bus, from: 60) == Array(60..<80))
  }
}
