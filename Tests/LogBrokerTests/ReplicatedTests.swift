// Contract: what a `replicated` topic acknowledges survives a kill without a gap, and is synced
// within half a second; a power loss may take it, but no offset is given out twice and what is
// skipped is said; persisted topics beside it keep every promise, also where small groups are stored
// in mapped pages; the operator's floor overrules a topic.
// (Every store of the simulated disk is checked: inside a window, never where a sync may have been.)

import Base
import Events
import LogBroker
import TestSupport
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
    private var isEnding = false

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
        // What a process that is gone says nobody hears.
        guard case .success(let firsts) = result, !disk.isDead, !isEnding else { return }
        for (batch, first) in zip(batches, firsts) {
          if first < highest[batch.target] ?? 0 { problems.append("offset \(first) again") }
          highest[batch.target] = first + 1
          acknowledged[batch.target, default: [:]][first] =
            Int(batch.records[0].eventID.value >> 8)
        }
      }
    }

    func end(_ end: BusWorkload.End) {
      if end == .close, !disk.isDead {
        bus?.close {}
        loop.settle()
      }
      let before = disk
      isEnding = true
      before.abandon()
      isEnding = false
      bus = nil
      loop = SimulatedLoop(seed: random.next())
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
        if disk.isDead { return }
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

  /// Kills, closes and power losses in any order and at any call, in the middle of a store, too; both
  /// kinds of topic in one append at times. Two halves, side by side.
  @Test(arguments: 0..<2) func nothingPersistedIsLostBesideIt(half: Int) throws {
    let wanted = ProofScale.count(3_000, whole: ProofScale.crashPoints / 5) / 2
    var crashes = 0
    var stored = 0
    var tally: [String: Int] = [:]
    var seed = ProofScale.firstSeed * 2 + half
    var problems: [String] = []
    while crashes < wanted, problems.count < 5 {
      let lives = Lives(seed: UInt64(seed))
      crashes += try run(lives)
      stored += lives.metrics.storedCommits.value
      problems += lives.problems.map { "seed \(seed): \($0)" }
      if lives.metrics.damages.value > 0 { problems.append("seed \(seed): damage") }
      tally.merge(lives.disk.tally.counts, uniquingKeysWith: +)
      seed += 2
    }
    #expect(problems.isEmpty, "\(problems)")
    #expect(stored > wanted)
    #expect(tally["store cut short", default: 0] > wanted / 100)
    ProofScale.row("sim_replicated_crashes_\(half)", crashes, ">=\(wanted)", crashes >= wanted)
    ProofScale.row("sim_replicated_stores_\(half)", stored, ">\(wanted)", stored > wanted)
    ProofScale.row("sim_replicated_problems_\(half)", problems.count, "0", problems.isEmpty)
  }

  /// Returns how many of the lives were ended by a kill or a power loss.
  private func run(_ lives: Lives) throws -> Int {
    var crashes = 0
    for life in 0...12 {
      if life > 0, life < 12, lives.random.next(below: 3) > 0 {
        lives.disk.faults[Int(lives.random.next(below: 150))] = .crash
      }
      do {
        try lives.open()
      } catch  where lives.disk.isDead {}
      lives.verify(Self.safe)
      lives.verify(Self.fast)
      if life == 12 { return crashes }
      appendAtRandom(lives)
      let isClosed = !lives.disk.isDead && lives.random.next(below: 3) == 0
      crashes += isClosed ? 0 : 1
      lives.end(isClosed ? .close : lives.random.next(below: 2) == 0 ? .kill : .powerLoss)
    }
    return crashes
  }

  private func appendAtRandom(_ lives: Lives) {
    for _ in 0..<lives.random.next(below: 60) where !lives.disk.isDead {
      switch lives.random.next(below: 12) {
      case 0: lives.append([Self.safe])
      case 1: lives.append([Self.safe, Self.fast])
      case 2: lives.append([Self.fast], bytes: 3_000)
      default: lives.append([Self.fast])
      }
      for _ in 0..<lives.random.next(below: 4) { lives.loop.turn() }
      if lives.random.next(below: 20) == 0 { lives.loop.fireNextTimer() }
    }
  }

  // MARK: Stores

  /// A log with `count` appends to the fast topic behind it, one after the other.
  private func lives(after count: Int, bytes: Int = 200) throws -> Lives {
    let lives = Lives(seed: 7)
    try lives.open()
    for _ in 0..<count {
      lives.append([Self.fast], bytes: bytes)
      lives.loop.settle()
    }
    return lives
  }

  @Test func smallGroupsAreStored() throws {
    // One for the reservation, two that are written before there is a window.
    let lives = try lives(after: 3)
    #expect(lives.metrics.storedCommits.value == 0)
    for count in 1...5 {
      let acknowledged = lives.highest[Self.fast]!
      lives.append([Self.fast])
      lives.loop.turn()
      // The turn that took it acknowledged it.
      #expect(lives.highest[Self.fast] == acknowledged + 1)
      #expect(lives.metrics.storedCommits.value == count)
    }
    #expect(lives.metrics.unsyncedBytes.value == 7 * LogLimits.blockBytes)
    lives.end(.kill)
    try lives.open()
    lives.verify(Self.fast)
    #expect(lives.problems.isEmpty)
  }

  @Test func afterTheirSyncTheyGoOn() throws {
    let lives = try lives(after: 8)
    lives.loop.fireNextTimer()
    lives.loop.settle()
    #expect(lives.metrics.unsyncedBytes.value == 0)
    let stored = lives.metrics.storedCommits.value
    lives.append([Self.fast])
    lives.loop.settle()
    #expect(lives.metrics.storedCommits.value == stored + 1)
  }

  @Test func aPersistedGroupTakesTheWindow() throws {
    let lives = try lives(after: 8)
    let stored = lives.metrics.storedCommits.value
    for _ in 0..<3 {
      lives.append([Self.safe])
      lives.loop.settle()
      lives.append([Self.fast])
      lives.loop.settle()
    }
    // Where syncs come between there is no use in making pages ready.
    #expect(lives.metrics.storedCommits.value == stored)
    #expect(lives.disk.tally.counts["window"] == 1)
  }

  @Test func withoutSuchTopicsNothingIsMapped() throws {
    let lives = Lives(seed: 7)
    try lives.open()
    for _ in 0..<20 {
      lives.append([Self.safe])
      lives.loop.settle()
    }
    #expect(lives.disk.tally.counts["window"] == nil)
  }

  @Test func pagesThatWaitedLongAreNotStoredTo() throws {
    let lives = try lives(after: 8)
    lives.loop.fireNextTimer()
    lives.loop.settle()
    let stored = lives.metrics.storedCommits.value
    lives.loop.manualClock.advance(LogLimits.windowTimeMax + .seconds(1))
    lives.append([Self.fast])
    lives.loop.settle()
    #expect(lives.metrics.storedCommits.value == stored)
  }

  @Test func whereNothingIsMappedAllIsWritten() throws {
    let lives = Lives(seed: 7)
    lives.disk.mapsNothing = true
    try lives.open()
    for _ in 0..<20 {
      lives.append([Self.fast])
      lives.loop.settle()
    }
    #expect(lives.highest[Self.fast] == 20)
    #expect(lives.metrics.storedCommits.value == 0)
    #expect(lives.disk.tally.counts["window"] == nil)
  }

  /// A completion that appends again has its group in a later turn, and the loop does not sleep.
  @Test func aChainOfAppendsIsOneGroupATurn() throws {
    let lives = try lives(after: 8)
    let stored = lives.metrics.storedCommits.value
    var depth = 0
    var left = 1_000
    func next() {
      depth += 1
      #expect(depth == 1, "a commit runs inside another's completion")
      left -= 1
      let record = BusFixtures.record(10_000 + left, bytes: 50)
      if left > 0 { lives.bus?.append([PartitionBatch(Self.fast, [record])]) { _ in next() } }
      depth -= 1
    }
    next()
    lives.loop.settle()
    #expect(left == 0)
    #expect(lives.metrics.storedCommits.value > stored + 10)
  }

  @Test func memoryIsBounded() throws {
    let lives = Lives(seed: 7)
    try lives.open()
    for index in 0..<2_000 {
      lives.append([Self.fast], bytes: index % 50 == 0 ? 9_000 : 200)
      for _ in 0..<3 { lives.loop.turn() }
      #expect(lives.disk.windowsOpen <= 2)
    }
    #expect(lives.disk.tally.counts["window", default: 0] > 20)
  }
}
