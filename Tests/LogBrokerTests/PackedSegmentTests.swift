// Contract: a closed segment of a topic with compression gets a packed copy that gives the same
// answers to every poll, now, after a restart and offline; the file it was made from goes. A copy
// that is cut or has a flipped bit is told, never taken for something else, and others serve. What
// cannot be packed stays as it is.

import Base
import Events
import LogBroker
import Testing

@Suite struct PackedSegmentTests {
  private static let target = TopicPartition(.journal, 1)
  private static let other = TopicPartition(.audit, 0)
  private static let records = 400

  private final class Scene {
    var loop = SimulatedLoop(seed: 5)
    var disk: SimulatedDisk
    var bus: EmbeddedBus
    let metrics = LogMetrics()

    init() throws {
      disk = SimulatedDisk(loop: loop, seed: 5)
      bus = try Self.open(disk, loop, metrics)
    }

    static func open(
      _ disk: SimulatedDisk, _ loop: SimulatedLoop, _ metrics: LogMetrics
    ) throws -> EmbeddedBus {
      var options = EmbeddedBusOptions(
        storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
      options.partitions = 2
      options.metrics = metrics
      options.limits.journalBytes = 256 << 10
      options.limits.flushBytes = 4 << 10
      options.limits.packBytesMin = 1 << 10
      var settings = TopicSettings()
      settings.compression = .zstd
      settings.segmentBytes = 300 << 10
      options.topics[.journal] = settings
      return try EmbeddedBus.open(options)
    }

    /// Fills more than one segment, with batches that are written directly among them.
    func fill() {
      for number in 0..<PackedSegmentTests.records {
        let bytes = number % 50 == 49 ? 70_000 : 900
        bus.append([
          PartitionBatch(target, [BusFixtures.record(number, bytes: bytes)])
        ]) { _ in }
        loop.settle()
      }
      bus.append([PartitionBatch(other, [BusFixtures.record(1)])]) { _ in }
      loop.settle()
    }

    func restart(_ isClosed: Bool) throws {
      if isClosed {
        bus.close {}
        loop.settle()
      }
      loop.forgetEverything()
      loop = SimulatedLoop(seed: 6)
      disk = disk.afterKill(loop: loop)
      bus = try Self.open(disk, loop, metrics)
      loop.settle()
    }

    func poll(_ start: PollStart, count: Int = 7) -> Result<PollResult, BusError>? {
      var found: Result<PollResult, BusError>?
      bus.poll(PollRequest(target, from: start, countMax: count, bytesMax: 1 << 20)) { found = $0 }
      loop.settle()
      return found
    }

    var packed: [String] { disk.paths.filter { $0.hasSuffix(".zst") } }
    var first: String { "log/agent/agent.journal/1/00000000000000000000" }
  }

  private func expectAll(_ scene: Scene) throws {
    for offset in stride(from: 0, to: Self.records, by: 13) {
      let page = try #require(try scene.poll(.offset(UInt64(offset)))?.get())
      #expect(page.records.first.map { BusFixtures.number($0) } == offset)
      #expect(page.records.map(\.offset) == page.records.indices.map { UInt64(offset + $0) })
      let time = try #require(page.records.first?.appendTime)
      let same = try #require(try scene.poll(.timestamp(time), count: 1)?.get())
      #expect(same.records.first?.offset == page.records.first?.offset)
    }
    let log = try OfflineLog(storage: scene.disk, dataDirectory: "simulated")
    var next = 0
    while next < Self.records {
      let page = try log.poll(
        PollRequest(Self.target, from: .offset(UInt64(next)), countMax: 31, bytesMax: 1 << 20))
      #expect(
        page.records.map { BusFixtures.number($0) } == Array(next..<next + page.records.count))
      next += page.records.count
    }
  }

  @Test(arguments: [false, true]) func aPackedSegmentAnswersAsBefore(isClosed: Bool) throws {
    let scene = try Scene()
    scene.fill()
    scene.bus.close {}
    scene.loop.settle()
    try scene.restart(false)
    // The checkpoint at the close let the rest be packed.
    #expect(scene.metrics.packedSegments.value >= 2 && scene.metrics.packedBytesSaved.value > 0)
    #expect(scene.packed.contains(scene.first + ".zst"))
    #expect(!scene.disk.paths.contains(scene.first + ".log"))
    try expectAll(scene)
    try scene.restart(isClosed)
    try expectAll(scene)
    let report = try LogInspector(storage: scene.disk, dataDirectory: "simulated").inspect()
    #expect(report.problems.isEmpty)
    #expect(report.partitions.flatMap(\.segments).contains { $0.path.hasSuffix(".zst") })
    // It goes like any other.
    var first: UInt64?
    scene.bus.deleteRecords(of: Self.target, upTo: UInt64(Self.records)) { first = try? $0.get() }
    scene.loop.settle()
    #expect(first == UInt64(Self.records) && scene.packed.isEmpty)
  }

  /// A sealed packed log, and the bytes of its first copy.
  private func sealed() throws -> (SimulatedDisk, String, [UInt8]) {
    let scene = try Scene()
    scene.fill()
    try scene.restart(true)
    scene.bus.close {}
    scene.loop.settle()
    let path = scene.first + ".zst"
    let bytes = scene.disk.content(of: path)
    #expect(bytes.count > 1_000)
    return (scene.disk, path, bytes)
  }

  /// Polls everything; whether all was there, or damage was told. Nothing else may be given.
  private func readsAll(_ disk: SimulatedDisk) throws -> Bool {
    let log = try OfflineLog(storage: disk, dataDirectory: "simulated")
    let others = try log.poll(PollRequest(Self.other, from: .first, countMax: 1, bytesMax: 100))
    #expect(others.records.count == 1)
    var next = 0
    while next < Self.records {
      do {
        let page = try log.poll(
          PollRequest(Self.target, from: .offset(UInt64(next)), countMax: 400, bytesMax: 1 << 20))
        for record in page.records {
          guard BusFixtures.number(record) == next, record.offset == UInt64(next) else {
            Issue.record("something else was given at \(next)")
            return false
          }
          next += 1
        }
      } catch {
        guard case .damaged = error else {
          Issue.record("\(error)")
          return false
        }
        return false
      }
    }
    return true
  }

  @Test func everyFlipIsToldOrChangesNothing() throws {
    let (disk, path, whole) = try sealed()
    #expect(try readsAll(disk))
    let step = ProofScale.count(max(1, whole.count / 300), whole: 1)
    var flipped = 0
    var told = 0
    for byte in stride(from: 0, to: whole.count, by: step) {
      for bit in [0, 3, 7] {
        disk.flip(path, byte: byte, bit: bit)
        if try !readsAll(disk) { told += 1 }
        disk.flip(path, byte: byte, bit: bit)
        flipped += 1
      }
    }
    ProofScale.row("packed_flips", flipped, ">=300", flipped >= 300)
    ProofScale.row("packed_flips_told", told, ">=\(flipped * 9 / 10)", told >= flipped * 9 / 10)
    #expect(told >= flipped * 9 / 10)
    #expect(try readsAll(disk))
  }

  @Test func everyCutIsTold() throws {
    let (disk, path, whole) = try sealed()
    let step = ProofScale.count(max(1, whole.count / 200), whole: 1)
    for length in stride(from: whole.count - 1, through: 0, by: -step) {
      disk.setSize(path, length)
      #expect(try !readsAll(disk), "cut at \(length)")
    }
    let report = try LogInspector(storage: disk, dataDirectory: "simulated").inspect()
    #expect(report.problems.contains { $0.contains(path) })
    // What the other segments have is kept.
    let losses = try LogRepair(storage: disk, dataDirectory: "simulated").run().losses
    #expect(losses.count == 1 && losses.first?.offsets.first?.lowerBound == 0)
    let log = try OfflineLog(storage: disk, dataDirectory: "simulated")
    let last = try log.poll(
      PollRequest(
        Self.target, from: .offset(UInt64(Self.records - 1)), countMax: 1, bytesMax: 1 << 20))
    #expect(last.records.count == 1)
  }

  @Test func whatCannotBePackedStays() throws {
    let scene = try Scene()
    scene.disk.refused = { $0.contains(".zst") }
    scene.fill()
    try scene.restart(true)
    #expect(scene.packed.isEmpty)
    try expectAll(scene)
  }
}
