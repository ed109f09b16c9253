// Contract: records that were written directly to their segment are found again when the end of
// the file was lost, and where the partition is damaged before them; whatever is missing, nothing
// is written over what a repair could still find.

import Base
import Events
import LogBroker
import Testing

@Suite final class DirectRecoveryTests {
  private var loop = SimulatedLoop(seed: 21)
  private var disk: SimulatedDisk
  private let metrics = LogMetrics()
  private let target = TopicPartition(.audit, 0)
  private let other = TopicPartition(.journal, 1)

  init() { disk = SimulatedDisk(loop: loop, seed: 21) }

  // MARK: One life after the other

  private func open() throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits = BusWorkload.limits
    options.metrics = metrics
    return try EmbeddedBus.open(options)
  }

  private func append(_ bus: EmbeddedBus, to target: TopicPartition, _ number: Int, bytes: Int) {
    var result: Result<[UInt64], BusError>?
    bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: bytes)])]) { result = $0 }
    loop.settle()
    #expect((try? result?.get()) != nil, "\(number) was not acknowledged")
  }

  private func kill() {
    let before = disk
    before.abandon()
    loop = SimulatedLoop(seed: 22)
    disk = before.afterKill(loop: loop)
  }

  private func close(_ bus: EmbeddedBus) {
    bus.close {}
    loop.settle()
    kill()
  }

  private func read(_ bus: EmbeddedBus, at offset: UInt64) throws -> [Int] {
    var result: Result<PollResult, BusError>?
    let request = PollRequest(target, from: .offset(offset), countMax: 50, bytesMax: 1 << 20)
    bus.poll(request) { result = $0 }
    loop.settle()
    return try #require(result).get().records.map(BusFixtures.number)
  }

  private func path(_ base: String) -> String {
    "log/agent/agent.audit/0/" + String(repeating: "0", count: 20 - base.count) + base + ".log"
  }

  // MARK: Tests

  /// The padding behind the last frame is part of what the next checkpoint counts.
  @Test func aLostEndOfAFileIsNoDamage() throws {
    append(try open(), to: target, 0, bytes: 2_000)
    kill()
    let content = disk.content(of: path("0"))
    let frameEnd = try #require(content.lastIndex { $0 != 0 }) + 1
    try #require(frameEnd < LogLimits.blockBytes)
    disk.setSize(path("0"), frameEnd)
    close(try open())
    let bus = try open()
    #expect(metrics.damages.value == 0)
    #expect(try read(bus, at: 0) == [0])
    append(bus, to: target, 1, bytes: 2_000)
    #expect(try read(bus, at: 0) == [0, 1])
  }

  @Test func nothingIsWrittenOverWhatStandsBehindMissingRecords() throws {
    let bus = try open()
    for number in 0..<2 { append(bus, to: target, number, bytes: 2_000) }
    append(bus, to: target, 2, bytes: 20)
    kill()
    disk.flip(path("0"), byte: 300, bit: 1)
    let before = disk.content(of: path("0"))
    let damaged = try open()
    #expect(metrics.damages.value == 1)
    append(damaged, to: other, 3, bytes: 20)
    close(damaged)
    #expect(disk.content(of: path("0")) == before)
    let next = try open()
    #expect(throws: BusError.self) { try self.read(next, at: 0) }
    #expect(try read(next, at: 2) == [2])
  }

  @Test func damageBeforeThemHidesNone() throws {
    let bus = try open()
    append(bus, to: target, 0, bytes: 10_000)
    append(bus, to: target, 1, bytes: 10_000)
    close(bus)
    // Two of them do not fit one segment: this begins another, which no checkpoint knows of.
    let second = try open()
    append(second, to: target, 2, bytes: 10_000)
    append(second, to: target, 3, bytes: 20)
    kill()
    let behind = disk.content(of: path("2"))
    try #require(!behind.isEmpty)
    disk.setSize(path("0"), 5_000)
    let damaged = try open()
    #expect(metrics.damages.value == 1)
    #expect(try read(damaged, at: 2) == [2, 3])
    close(damaged)
    #expect(Array(disk.content(of: path("2")).prefix(2_000)) == Array(behind.prefix(2_000)))
    #expect(try read(try open(), at: 2) == [2, 3])
  }
}
