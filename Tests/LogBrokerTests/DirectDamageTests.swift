// Contract: of a log that was killed, batches that were written straight to their segments and that
// no checkpoint names yet are held to the same as all others: one that is not what was written, or
// whose file is gone, is told as long as anything shows that it was acknowledged; the partition
// refuses while the others serve; what is whole behind it is kept by a repair, whatever a node
// did before; and no offset is given twice. (The very last batch has nothing behind it: damage to
// that cannot be told from a torn write.)

import Base
import Events
import LogBroker
import Testing

@Suite struct DirectDamageTests {
  private static let target = TopicPartition(.journal, 1)
  private static let other = TopicPartition(.audit, 0)
  /// Batches of a segment, a block each.
  private static let perSegment = 5

  private func open(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws -> EmbeddedBus {
    try EmbeddedBus.open(BusFixtures.directOptions(disk, loop, segmentBlocks: Self.perSegment))
  }

  @discardableResult
  private func append(
    _ bus: EmbeddedBus, _ number: Int, _ loop: SimulatedLoop, bytes: Int = 3_000,
    to target: TopicPartition = Self.target
  ) -> Result<[UInt64], BusError>? {
    var result: Result<[UInt64], BusError>?
    bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: bytes)])]) { result = $0 }
    loop.settle()
    return result
  }

  /// Twelve batches in three segments, each acknowledged before the next was begun; then a kill.
  private func killed(_ loop: SimulatedLoop) throws -> SimulatedDisk {
    let disk = SimulatedDisk(loop: loop, seed: 3)
    let bus = try open(disk, loop)
    for number in 0..<12 { append(bus, number, loop) }
    loop.forgetEverything()
    return disk.copy(loop: loop)
  }

  private static func path(_ base: Int) -> String {
    let digits = String(base)
    return
      "log/agent/agent.journal/1/\(String(repeating: "0", count: 20 - digits.count))\(digits).log"
  }

  /// The offsets there are; nil when reading ends before the partition does.
  private func offsets(_ bus: EmbeddedBus, _ loop: SimulatedLoop) -> [UInt64]? {
    var found: [UInt64] = []
    var at: UInt64 = 0
    while at < bus.endOffset(of: Self.target) {
      var page: PollResult?
      bus.poll(PollRequest(Self.target, from: .offset(at), countMax: 3, bytesMax: 1 << 20)) {
        page = try? $0.get()
      }
      loop.settle()
      guard let last = page?.records.last else { return nil }
      for record in page!.records where BusFixtures.number(record) == Int(record.offset) {
        found.append(record.offset)
      }
      at = last.offset + 1
    }
    return found
  }

  /// The damage is told; a repair loses exactly `lost` of `count`, and the next offset is new.
  private func expectLost(
    _ lost: Range<Int>, of count: Int, _ disk: SimulatedDisk, _ loop: SimulatedLoop
  ) throws {
    let report = try LogInspector(storage: disk, dataDirectory: "simulated").inspect()
    #expect(report.problems.count > 0, "\(lost) is gone and nobody says so")
    let losses = try LogRepair(storage: disk, dataDirectory: "simulated").run().losses
    #expect(
      losses.flatMap(\.offsets) == [UInt64(lost.lowerBound)..<UInt64(lost.upperBound)], "\(losses)")
    let bus = try open(disk, loop)
    guard case .success(let first) = append(bus, count, loop) else {
      Issue.record("nothing is taken after the repair")
      return
    }
    #expect(first == [UInt64(count)], "offsets are given twice")
    let whole = (0...count).filter { !lost.contains($0) }.map { UInt64($0) }
    #expect(offsets(bus, loop) == whole)
    loop.forgetEverything()
  }

  private func expectRefused(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws {
    let copy = disk.copy(loop: loop)
    let bus = try open(copy, loop)
    guard case .failure(.damaged) = append(bus, 12, loop) else {
      Issue.record("a damaged partition takes records")
      return
    }
    guard case .success = append(bus, 0, loop, to: Self.other) else {
      Issue.record("another partition takes none")
      return
    }
    loop.forgetEverything()
  }

  @Test(arguments: 0..<11) func aDamagedBatchIsToldAndLostAlone(offset: Int) throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try killed(loop)
    let segment = offset / Self.perSegment * Self.perSegment
    disk.flip(
      Self.path(segment), byte: (offset - segment) * LogLimits.blockBytes + 100, bit: offset % 8)
    try expectRefused(disk, loop)
    try expectLost(offset..<offset + 1, of: 12, disk, loop)
  }

  @Test(arguments: [0, 5]) func aSegmentThatIsGoneIsTold(base: Int) throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try killed(loop)
    disk.removeFile(Self.path(base))
    try expectRefused(disk, loop)
    try expectLost(base..<base + Self.perSegment, of: 12, disk, loop)
  }

  /// The journal says how far the partition had come.
  @Test func aDirectoryThatIsGoneIsTold() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try killed(loop)
    for base in [0, 5, 10] { disk.removeFile(Self.path(base)) }
    try expectRefused(disk, loop)
    try expectLost(0..<10, of: 10, disk, loop)
  }

  /// The start that has seen it ends, and has let go of the journal that told where segments begin.
  @Test func damageIsToldByEveryStart() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = try killed(loop)
    disk.flip(Self.path(0), byte: 100, bit: 3)
    for _ in 0..<2 {
      let bus = try open(disk, loop)
      guard case .failure(.damaged) = append(bus, 12, loop) else {
        Issue.record("a damaged partition takes records")
        return
      }
      bus.close {}
      loop.settle()
    }
    try expectLost(0..<1, of: 12, disk, loop)
  }

  /// A file that a checkpoint names is cut; batches behind it are in their segment and in the journal.
  @Test func nothingIsWrittenOverWhatIsWhole() throws {
    let loop = SimulatedLoop(seed: 1)
    let first = SimulatedDisk(loop: loop, seed: 3)
    var bus = try open(first, loop)
    for number in 0..<5 { append(bus, number, loop) }
    bus.close {}
    loop.settle()
    bus = try open(first, loop)
    for number in 5..<7 { append(bus, number, loop) }
    append(bus, 7, loop, bytes: 100)
    loop.forgetEverything()
    let disk = first.copy(loop: loop)
    disk.setSize(Self.path(0), 5 * LogLimits.blockBytes - 1_500)
    bus = try open(disk, loop)
    loop.settle()
    bus.close {}
    loop.settle()
    try expectLost(4..<5, of: 8, disk, loop)
  }
}
