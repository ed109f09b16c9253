// Contract: of a 64 KiB segment, cut at any length, exactly the whole records before the cut are
// given, then the damage is told; a bit that is flipped anywhere is detected, and the records
// before it are given. Other partitions serve.

import Base
import Events
import Iggy
import LogBroker
import Testing

@Suite struct SegmentDamageTests {
  private static let target = TopicPartition(.journal, 1)
  private static let other = TopicPartition(.audit, 0)
  private static let path = "log/agent/agent.journal/1/00000000000000000000.log"

  /// A closed log of one segment of at least 64 KiB, and a record in another partition.
  private func sample() throws -> (disk: SimulatedDisk, records: Int) {
    let loop = SimulatedLoop(seed: 3)
    let disk = SimulatedDisk(loop: loop, seed: 3)
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits.journalBytes = 64 << 10
    let bus = try EmbeddedBus.open(options)
    var records = 0
    while records < 70 {
      bus.append([
        PartitionBatch(Self.target, [BusFixtures.record(records, bytes: 800)]),
        PartitionBatch(Self.other, [BusFixtures.record(records, bytes: 20)]),
      ]) { _ in }
      loop.settle()
      records += 1
    }
    bus.close {}
    loop.settle()
    return (disk, records)
  }

  private func open(_ disk: SimulatedDisk) throws -> OfflineLog {
    try OfflineLog(storage: disk, dataDirectory: "simulated")
  }

  /// Where each frame ends.
  private func frameEnds(_ segment: [UInt8], _ records: Int) -> [Int] {
    var ends: [Int] = []
    var at = 0
    for _ in 0..<records {
      at += 64 + segment.withUnsafeBytes { Int($0.littleEndian(at: at + 36, as: UInt32.self)) }
      ends.append(at)
    }
    return ends
  }

  private func poll(_ log: OfflineLog, from offset: Int) -> Result<PollResult, BusError> {
    do throws(BusError) {
      return .success(
        try log.poll(
          PollRequest(
            Self.target, from: .offset(UInt64(offset)), countMax: 10_000, bytesMax: 1 << 20)))
    } catch {
      return .failure(error)
    }
  }

  /// Whether exactly the first `whole` records can be had, and then the damage is told.
  private func tells(_ log: OfflineLog, whole: Int, of records: Int) -> Bool {
    if whole > 0 {
      guard case .success(let result) = poll(log, from: 0), result.records.count == whole,
        BusFixtures.number(result.records[whole - 1]) == whole - 1
      else { return false }
    }
    if whole == records { return true }
    guard case .failure(.damaged) = poll(log, from: whole) else { return false }
    return true
  }

  @Test func everyFlippedBitIsDetected() throws {
    let (disk, records) = try sample()
    let ends = frameEnds(disk.content(of: Self.path), records)
    let log = try open(disk)
    let step = ProofScale.count(7, whole: 1)
    var flipped = 0
    var undetected = 0
    for byte in stride(from: 0, to: min(ends[records - 1], 64 << 10), by: step) {
      let hit = ends.firstIndex { byte < $0 } ?? 0
      for bit in 0..<8 {
        disk.flip(Self.path, byte: byte, bit: bit)
        if !tells(log, whole: hit, of: records) { undetected += 1 }
        disk.flip(Self.path, byte: byte, bit: bit)
        flipped += 1
      }
    }
    #expect(tells(log, whole: records, of: records))
    ProofScale.row(
      "segment_bits_flipped", flipped, ">=\(64 * 8 * 1024 / step)", flipped >= 65_536 * 8 / step)
    ProofScale.row("segment_flips_undetected", undetected, "0", undetected == 0)
    #expect(undetected == 0 && flipped >= 65_536 * 8 / step)
  }

  @Test func everyCutGivesTheLongestPrefix() throws {
    let (disk, records) = try sample()
    let whole = disk.content(of: Self.path)
    let ends = frameEnds(whole, records)
    let step = ProofScale.count(11, whole: 1)
    var cuts = 0
    var wrong = 0
    for length in stride(from: 0, to: min(ends[records - 1], 64 << 10), by: step).reversed() {
      disk.setSize(Self.path, length)
      let log = try open(disk)
      let left = ends.firstIndex { length < $0 } ?? records
      if !tells(log, whole: left, of: records) { wrong += 1 }
      if log.endOffset(of: Self.other) != UInt64(records) { wrong += 1 }
      cuts += 1
    }
    ProofScale.row("segment_cuts", cuts, ">=\(65_536 / step)", cuts >= 65_536 / step)
    ProofScale.row("segment_cuts_wrong", wrong, "0", wrong == 0)
    #expect(wrong == 0 && cuts >= 65_536 / step)
  }
}
