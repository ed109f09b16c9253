// Contract: verify names every damage with its place and nothing else; a repair moves damaged files
// aside, keeps every batch that is whole, and says exactly which offsets are lost; afterwards the
// log opens, is whole, skips what is lost and takes records; what is whole is not touched. A log with a
// damaged journal (but one that is only cut) is not opened before that, and gives no offset again
// afterwards.

import Base
import Events
import LogBroker
import Testing

@Suite struct LogRepairTests {
  private static let target = TopicPartition(.journal, 1)
  private static let other = TopicPartition(.audit, 0)
  private static let segment = "log/agent/agent.journal/1/00000000000000000000.log"

  /// One record per batch in the segment of `target`, ten of them, and two in the journal only.
  private func sample(loop: SimulatedLoop) throws -> SimulatedDisk {
    let disk = SimulatedDisk(loop: loop, seed: 3)
    var bus = try open(disk, loop)
    for number in 0..<10 { append(bus, number, loop) }
    bus.close {}
    loop.settle()
    bus = try open(disk, loop)
    for number in 10..<12 { append(bus, number, loop) }
    loop.forgetEverything()
    return disk.copy(loop: loop)
  }

  private func open(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits.journalBytes = 64 << 10
    return try EmbeddedBus.open(options)
  }

  private func append(_ bus: EmbeddedBus, _ number: Int, _ loop: SimulatedLoop) {
    for target in [Self.target, Self.other] {
      bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: 100)])]) { _ in }
    }
    loop.settle()
  }

  /// Offsets of a partition, from its first on; nil when a poll fails.
  private func offsets(
    _ bus: EmbeddedBus, _ target: TopicPartition, _ loop: SimulatedLoop
  ) -> [UInt64]? {
    var found: [UInt64] = []
    var at = bus.firstOffset(of: target)
    while at < bus.endOffset(of: target) {
      var page: PollResult?
      bus.poll(PollRequest(target, from: .offset(at), countMax: 3, bytesMax: 1 << 20)) {
        page = try? $0.get()
      }
      loop.settle()
      guard let page else { return nil }
      guard let last = page.records.last else { return found }
      for record in page.records where BusFixtures.number(record) == Int(record.offset) {
        found.append(record.offset)
      }
      at = last.offset + 1
    }
    return found
  }

  private func inspect(_ disk: SimulatedDisk) throws -> LogReport {
    try LogInspector(storage: disk, dataDirectory: "simulated").inspect()
  }

  /// Where the frame of an offset begins; all are equally long.
  private func position(_ disk: SimulatedDisk, _ offset: Int) -> Int {
    disk.content(of: Self.segment).count / 10 * offset
  }

  @Test func whatIsWholeIsToldAndNotTouched() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try sample(loop: loop)
    let report = try inspect(disk)
    #expect(report.problems == [] && report.journalGroups > 0)
    let found = try #require(report.partitions.first { $0.target == Self.target })
    #expect(found.segments.map(\.records) == [10] && found.segments.map(\.batches) == [10])
    #expect(found.journalRecords == 2 && found.endOffset == 12 && found.gaps.isEmpty)
    let before = disk.paths.map { disk.content(of: $0) }
    let losses = try LogRepair(storage: disk, dataDirectory: "simulated").run().losses
    #expect(losses.isEmpty)
    #expect(disk.paths.map { disk.content(of: $0) } == before)
  }

  @Test func everyDamagedBatchIsLostAlone() throws {
    for offset in 0..<10 {
      let loop = SimulatedLoop(seed: 1)
      let disk = try sample(loop: loop)
      var bytes = disk.content(of: Self.segment)
      let at = position(disk, offset)
      bytes[at + (offset % 2 == 0 ? 9 : 200)] ^= 4
      disk.setContent(bytes, of: Self.segment)
      let problems = try inspect(disk).problems
      #expect(problems.count == 1 && problems[0].contains("at byte \(at)"), "\(problems)")
      let losses = try LogRepair(storage: disk, dataDirectory: "simulated").run().losses
      #expect(losses.map(\.target) == [Self.target])
      let lost = UInt64(offset)
      #expect(losses.first?.offsets == [lost..<lost + 1])
      let moved = try #require(losses.first?.movedTo.first)
      #expect(disk.content(of: moved) == bytes, "the damaged file is kept as it was")
      try expectServing(disk, lost: [lost], loop)
    }
  }

  @Test func everyDamagedFileIsKept() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try sample(loop: loop)
    var damaged: [[UInt8]] = []
    for _ in 0..<2 {
      for path in [Self.segment, "log/agent/agent.audit/0/00000000000000000000.log"] {
        var bytes = disk.content(of: path)
        bytes[bytes.count - 10] ^= UInt8(1 + damaged.count)
        disk.setContent(bytes, of: path)
        damaged.append(bytes)
      }
      let losses = try LogRepair(storage: disk, dataDirectory: "simulated").run().losses
      #expect(losses.flatMap(\.movedTo).count == 2)
    }
    let kept = disk.paths.filter { $0.hasPrefix("log/damaged/") }.map { disk.content(of: $0) }
    #expect(Set(kept) == Set(damaged))
  }

  @Test func aSegmentThatIsGoneOrCutIsAGap() throws {
    for isCut in [false, true] {
      let loop = SimulatedLoop(seed: 1)
      let disk = try sample(loop: loop)
      if isCut {
        let kept = disk.content(of: Self.segment).prefix(position(disk, 4) + 10)
        disk.setContent(Array(kept), of: Self.segment)
      } else {
        disk.removeFile(Self.segment)
      }
      #expect(try inspect(disk).problems.isEmpty == false)
      let losses = try LogRepair(storage: disk, dataDirectory: "simulated").run().losses
      let lost: Range<UInt64> = (isCut ? 4 : 0)..<10
      #expect(losses.first?.offsets == [lost])
      try expectServing(disk, lost: Array(lost), loop)
    }
  }

  /// The log opens, has all but `lost`, and takes records; also the next time.
  private func expectServing(
    _ disk: SimulatedDisk, lost: [UInt64], _ loop: SimulatedLoop
  ) throws {
    #expect(try inspect(disk).problems == [])
    var disk = disk
    for life in 0..<2 {
      let bus = try open(disk, loop)
      #expect(bus.metrics.damages.value == 0)
      let end = UInt64(12 + life)
      #expect(offsets(bus, Self.other, loop) == Array(0..<end))
      #expect(
        offsets(bus, Self.target, loop) == (0..<end).filter { !lost.contains($0) }, "\(lost)")
      #expect(bus.endOffset(of: Self.target) == end)
      append(bus, 12 + life, loop)
      #expect(bus.endOffset(of: Self.target) == end + 1)
      bus.close {}
      loop.settle()
      loop.forgetEverything()
      disk = disk.afterPowerLoss(loop: loop)
    }
  }

  enum JournalDamage: CaseIterable { case header, group, gone, cut }

  /// Damages both journals: one holds the two newest commit groups, one nothing.
  private func damage(_ disk: SimulatedDisk, _ damage: JournalDamage) {
    for path in ["log/journal-0-a.wal", "log/journal-0-b.wal"] {
      var bytes = disk.content(of: path)
      switch damage {
      case .header: bytes[9] ^= 4
      case .group: bytes[LogLimits.blockBytes + 9] ^= 4
      case .gone: return disk.removeFile(path)
      case .cut: bytes.removeLast(bytes.count - 2 * LogLimits.blockBytes)
      }
      disk.setContent(bytes, of: path)
    }
  }

  @Test(arguments: JournalDamage.allCases)
  func aDamagedJournalIsReplaced(by kind: JournalDamage) throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try sample(loop: loop)
    damage(disk, kind)
    #expect(try inspect(disk).problems.isEmpty == false)
    if kind != .cut {
      let refusal = #expect(throws: LogBrokerError.self) { try open(disk, loop) }
      #expect(refusal?.exitCode == 10)
    }
    let repaired = try LogRepair(storage: disk, dataDirectory: "simulated").run()
    #expect(repaired.journals.isEmpty == false)
    #expect(repaired.journals.allSatisfy { ($0.movedTo == nil) == (kind == .gone) })
    #expect(try inspect(disk).problems == [])
    let kept: [UInt64] =
      switch kind {
      case .header: Array(0..<12)
      case .group: Array(0..<10) + [11]
      case .gone: Array(0..<10)
      case .cut: Array(0..<11)
      }
    let bus = try open(disk, loop)
    for target in [Self.target, Self.other] {
      #expect(offsets(bus, target, loop) == kept)
      #expect(bus.endOffset(of: target) == kept.last! + 1 + LogRepair.offsetsSkipped)
    }
    append(bus, 12, loop)
    #expect(bus.endOffset(of: Self.target) == kept.last! + 2 + LogRepair.offsetsSkipped)
    // Nobody knows what a partition had of which nothing is left.
    #expect(bus.endOffset(of: TopicPartition(.plans, 0)) == LogRepair.offsetsSkipped)
    loop.forgetEverything()
  }

  @Test func aRunningNodesDirectoryIsNotRepaired() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = SimulatedDisk(loop: loop, seed: 3)
    let bus = try open(disk, loop)
    #expect(throws: LogBrokerError.locked(path: "simulated")) {
      try LogRepair(storage: disk, dataDirectory: "simulated").run()
    }
    bus.close {}
    loop.settle()
  }
}
