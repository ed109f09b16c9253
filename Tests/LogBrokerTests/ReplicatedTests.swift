// Contract: what a `replicated` topic acknowledges survives a kill without a gap, and is synced
// within half a second; a power loss may take it, but no offset is given out twice and what is
// skipped is said; persisted topics beside it keep every promise; the operator's floor overrules a
// topic.

import Base
import Events
import LogBroker
import Testing

@Suite struct ReplicatedTests {
  private static let fast = TopicPartition(.latency, 0)
  private static let safe = TopicPartition(.journal, 1)

  /// A log through several lives.
  private final class Lives {
    let random: SeededRandom
    var loop: SimulatedLoop
    var disk: SimulatedDisk
    var bus: EmbeddedBus?
    var next = 0
    /// Acknowledged in this machine's life, or durable.
    var acknowledged: [TopicPartition: [UInt64: Int]] = [:]
    var highest: [TopicPartition: UInt64] = [:]
    var problems: [String] = []
    var metrics = LogMetrics()
    var floor = Durability.replicated

    init(seed: UInt64) {
      random = SeededRandom(seed: seed)
      loop = SimulatedLoop(seed: seed)
      disk = SimulatedDisk(loop: loop, seed: seed ^ 0xD15C)
    }

    func open() throws {
      var options = EmbeddedBusOptions(
        storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
      options.partitions = 2
      options.limits = BusWorkload.limits
      options.metrics = metrics
      options.topics[.latency] = TopicSettings()
      options.topics[.latency]?.durability = .replicated
      options.durabilityFloor = floor
      bus = try EmbeddedBus.open(options)
    }

    func append(_ targets: [TopicPartition], bytes: Int = 200) {
      let batches = targets.map { target in
        next += 1
        return PartitionBatch(target, [BusFixtures.record(next, bytes: bytes)])
      }
      bus?.append(batches) { [self] result in
        guard case .success(let firsts) = result else { return }
        for (batch, first) in zip(batches, firsts) {
          if first < highest[batch.target] ?? 0 { problems.append("offset \(first) again") }
          highest[batch.target] = first + 1
          acknowledged[batch.target, default: [:]][first] =
            Int(batch.records[0].eventID.value >> 8)
        }
      }
    }

    func end(_ end: BusWorkload.End) {
      if end == .close {
        bus?.close {}
        loop.settle()
      }
      bus = nil
      loop.forgetEverything()
      loop = SimulatedLoop(seed: random.next())
      let before = disk
      disk = end == .powerLoss ? before.afterPowerLoss(loop: loop) : before.afterKill(loop: loop)
      if end == .powerLoss { acknowledged[ReplicatedTests.fast] = [:] }
    }

    /// Everything acknowledged is there, offsets ascend, and a poll begins where it was asked to.
    func verify(_ target: TopicPartition) {
      guard let bus else { return }
      var found: [UInt64: Int] = [:]
      var at: UInt64 = 0
      while at < bus.endOffset(of: target) {
        var page: Result<PollResult, BusError>?
        bus.poll(PollRequest(target, from: .offset(at), countMax: 7, bytesMax: 1 << 20)) {
          page = $0
        }
        loop.settle()
        guard case .success(let result) = page else {
          return problems.append("poll at \(at): \(page as Any)")
        }
        guard let last = result.records.last else { break }
        for record in result.records {
          if record.offset < at { problems.append("offset \(record.offset) below \(at)") }
          found[record.offset] = BusFixtures.number(record)
          at = record.offset + 1
        }
        if last.offset + 1 != at { problems.append("offsets fall") }
      }
      for (offset, number) in acknowledged[target] ?? [:] where found[offset] != number {
        problems.append("\(target): record \(offset) is gone")
      }
      acknowledged[target] = found
    }
  }

  @Test func anAcknowledgementWaitsForTheKernelOnly() throws {
    let lives = Lives(seed: 1)
    try lives.open()
    lives.append([Self.fast])
    lives.loop.settle()
    let calls = lives.disk.calls
    lives.append([Self.fast])
    lives.loop.settle()
    // The first made the reservation durable; this one is one write.
    #expect(lives.disk.calls == calls + 1)
    #expect(lives.metrics.unsyncedBytes.value > 0)
    lives.loop.fireNextTimer()
    lives.loop.settle()
    #expect(lives.disk.calls == calls + 2)
    #expect(lives.metrics.unsyncedBytes.value == 0)
  }

  @Test func theOperatorsFloorOverrules() throws {
    let lives = Lives(seed: 1)
    lives.floor = .persisted
    try lives.open()
    for _ in 0..<3 { lives.append([Self.fast]) }
    lives.loop.settle()
    #expect(lives.metrics.unsyncedBytes.value == 0)
    lives.end(.powerLoss)
    lives.acknowledged[Self.fast] = [0: 1, 1: 2, 2: 3]
    try lives.open()
    lives.verify(Self.fast)
    #expect(lives.problems.isEmpty && lives.metrics.offsetGaps.value == 0)
  }

  @Test func afterAPowerLossOffsetsGoOnAboveTheReservation() throws {
    let lives = Lives(seed: 3)
    try lives.open()
    for _ in 0..<5 { lives.append([Self.fast]) }
    lives.loop.settle()
    lives.end(.powerLoss)
    try lives.open()
    #expect(lives.metrics.offsetGaps.value == 1)
    let end = try #require(lives.bus?.endOffset(of: Self.fast))
    #expect(end > 1_000_000)
    lives.append([Self.fast])
    lives.loop.settle()
    #expect(lives.highest[Self.fast] == end + 1)
    var last: PollResult?
    lives.bus?.poll(PollRequest(Self.fast, from: .last, countMax: 2, bytesMax: 9_999)) {
      last = try? $0.get()
    }
    lives.loop.settle()
    #expect(last?.records.last?.offset == end)
    for way in [BusWorkload.End.kill, .close] {
      lives.end(way)
      try lives.open()
      lives.verify(Self.fast)
      #expect(lives.problems.isEmpty && lives.metrics.offsetGaps.value == 1)
    }
    // All of it is in the segments after a close: nothing was at risk.
    lives.end(.close)
    lives.end(.powerLoss)
    try lives.open()
    #expect(lives.metrics.offsetGaps.value == 1)
  }

  /// Kills, closes and power losses in any order, both kinds of topic in one append at times.
  @Test(arguments: 0..<60) func nothingPersistedIsLostBesideIt(seed: Int) throws {
    let lives = Lives(seed: UInt64(seed))
    for _ in 0..<12 {
      try lives.open()
      lives.verify(Self.safe)
      lives.verify(Self.fast)
      for _ in 0..<lives.random.next(below: 30) {
        switch lives.random.next(below: 5) {
        case 0: lives.append([Self.safe])
        case 1: lives.append([Self.safe, Self.fast])
        case 2: lives.append([Self.fast], bytes: 3_000)
        default: lives.append([Self.fast])
        }
        for _ in 0..<lives.random.next(below: 4) { lives.loop.turn() }
        if lives.random.next(below: 20) == 0 { lives.loop.fireNextTimer() }
      }
      let ends = BusWorkload.End.allCases
      lives.end(ends[Int(lives.random.next(below: 3))])
    }
    try lives.open()
    lives.verify(Self.safe)
    lives.verify(Self.fast)
    #expect(lives.problems.isEmpty, "seed \(seed): \(lives.problems.first ?? "")")
    #expect(lives.metrics.damages.value == 0)
  }
}
