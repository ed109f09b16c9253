import Base
import Events
import LogBroker

/// Drives a bus through lives that end by a clean close, a kill or a power loss, and holds what it
/// was promised against what it finds afterwards. What it finds wrong is in `problems`.
final class BusWorkload {
  enum End: CaseIterable {
    case close, kill, powerLoss
  }

  static let targets = [
    TopicPartition(.turnsRequests, 0), TopicPartition(.journal, 1), TopicPartition(.audit, 0),
    TopicPartition(.turnsResponses, 1),
  ]
  static let group = "engine"

  /// Small, so that segments roll and journals wrap within a hundred operations.
  static var limits: LogLimits {
    var limits = LogLimits()
    limits.journalBytes = 64 << 10
    limits.groupBytesMax = 12 << 10
    limits.flushBytes = 2 << 10
    limits.segmentBytesMax = 20 << 10
    limits.directBytesMin = 1_200
    limits.directWindowBytes = 16 << 10
    limits.directCheckpointBytes = 48 << 10
    limits.packBytesMin = 1 << 10
    // The journals become larger once all partitions hold something.
    limits.manyPartitions = targets.count - 1
    limits.journalBytesOfMany = 96 << 10
    return limits
  }

  /// What the log is encrypted with; nil for not at all.
  var key: LogKey?
  private(set) var problems: [String] = []
  private(set) var acknowledgements = 0
  private(set) var refusals = 0
  private(set) var disk: SimulatedDisk
  private(set) var loop: SimulatedLoop
  private(set) var bus: EmbeddedBus?
  let metrics = LogMetrics()

  private let seed: UInt64
  private let random: SeededRandom
  /// What each append wrote, by its number.
  private var attempts: [[(TopicPartition, Int)]] = []
  /// Records that were acknowledged or read, by offset: they must stay for ever.
  private var known: [TopicPartition: [UInt64: Int]] = [:]
  private var storedOffsets: [TopicPartition: UInt64] = [:]
  /// Offsets that were asked for and not answered yet, or in vain: a start may find them.
  private var askedOffsets: [TopicPartition: [UInt64]] = [:]
  private(set) var rewinds = 0
  private var nextNumber = 0

  init(seed: UInt64) {
    self.seed = seed
    random = SeededRandom(seed: seed)
    loop = SimulatedLoop(seed: seed)
    disk = SimulatedDisk(loop: loop, seed: seed ^ 0xD15C)
  }

  private func chance(_ percent: UInt64) -> Bool { random.next(below: 100) < percent }

  func problem(_ text: String) { problems.append("seed \(seed): \(text)") }

  // MARK: Lives

  /// Lets everything in flight complete and one more append through; returns how it ended.
  func appendAndSettle() -> Result<[UInt64], BusError>? {
    loop.settle()
    let record = BusFixtures.record(nextNumber)
    attempts.append([(Self.targets[0], nextNumber)])
    nextNumber += 1
    var result: Result<[UInt64], BusError>?
    let batch = PartitionBatch(Self.targets[0], [record])
    bus?.append([batch]) { [self] in
      result = $0
      if case .success(let firsts) = $0, !isEnding { acknowledge([batch], firsts) }
    }
    loop.settle()
    return result
  }

  /// Opens the log. A failure is a problem unless the disk was told to fail.
  @discardableResult
  func open() -> Bool {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits = Self.limits
    options.metrics = metrics
    options.key = key
    var packed = TopicSettings()
    packed.compression = .zstd
    packed.segmentBytes = 6 << 10
    options.topics[Self.targets[1].topic] = packed
    do {
      bus = try EmbeddedBus.open(options)
      learnRewinds()
      return true
    } catch {
      if !disk.hasFailed { problem("did not open: \(error)") }
      return false
    }
  }

  /// What became of rewinds that were not answered; from now on it holds.
  private func learnRewinds() {
    for (target, asked) in askedOffsets where !asked.isEmpty {
      let found = bus?.storedOffset(group: Self.group, of: target) ?? 0
      if found < min(storedOffsets[target] ?? 0, asked.min()!) {
        problem("the stored offset of \(target) went back beyond what was asked for")
      }
      storedOffsets[target] = found
    }
    askedOffsets = [:]
  }

  /// Ends this life and begins the next on what is left.
  func end(_ end: End) {
    if end == .close, let bus, !disk.isDead {
      var isClosed = false
      isClosing = true
      bus.close { isClosed = true }
      loop.settle()
      isClosing = false
      if !isClosed, !disk.isDead { problem("close did not complete") }
    }
    let before = disk
    isEnding = true
    before.abandon()
    isEnding = false
    bus = nil
    loop = SimulatedLoop(seed: random.next())
    disk = end == .powerLoss ? before.afterPowerLoss(loop: loop) : before.afterKill(loop: loop)
  }

  /// What a process that is gone says nobody hears.
  private var isEnding = false
  /// What is under way when the log is closed may be refused.
  private var isClosing = false

  // MARK: Operations

  func run(operations: Int) {
    for _ in 0..<operations where !disk.isDead {
      switch random.next(below: 10) {
      case 0...5: append()
      case 6: storeOffset()
      case 7: readSome()
      case 8 where chance(10): jumpClock()
      default: loop.settle()
      }
      for _ in 0..<random.next(below: 5) { loop.turn() }
    }
  }

  private(set) var clockJumps = 0

  /// By an hour or ten years, forward or back.
  private func jumpClock() {
    let seconds: Int64 = chance(50) ? 3_600 : 315_576_000
    loop.wallClock.jump(seconds: chance(50) ? seconds : -seconds)
    clockJumps += 1
  }

  func append(bytesMax: Int = 700) {
    guard let bus else { return }
    var batches: [PartitionBatch] = []
    var written: [(TopicPartition, Int)] = []
    for _ in 0...random.next(below: 3) {
      let target = Self.targets[Int(random.next(below: UInt64(Self.targets.count)))]
      var records: [BusRecord] = []
      for _ in 0...random.next(below: 3) {
        let bytes = chance(5) ? 5_000 : 16 + Int(random.next(below: UInt64(bytesMax)))
        records.append(BusFixtures.record(nextNumber, bytes: bytes))
        written.append((target, nextNumber))
        nextNumber += 1
      }
      batches.append(PartitionBatch(target, records))
    }
    attempts.append(written)
    bus.append(batches) { [self] result in
      if isEnding { return }
      switch result {
      case .failure: refusals += 1
      case .success(let firsts): acknowledge(batches, firsts)
      }
    }
  }

  private func acknowledge(_ batches: [PartitionBatch], _ firsts: [UInt64]) {
    acknowledgements += 1
    if firsts.count != batches.count { return problem("\(firsts.count) offsets acknowledged") }
    for (batch, first) in zip(batches, firsts) {
      for (index, record) in batch.records.enumerated() {
        know(batch.target, first + UInt64(index), Int(record.eventID.value >> 8))
      }
    }
  }

  /// A record that was promised or shown.
  private func know(_ target: TopicPartition, _ offset: UInt64, _ number: Int) {
    if let other = known[target]?[offset], other != number {
      problem("offset \(offset) of \(target) was \(other) and is \(number)")
    }
    known[target, default: [:]][offset] = number
  }

  private func storeOffset() {
    guard let bus else { return }
    let target = Self.targets[Int(random.next(below: UInt64(Self.targets.count)))]
    let offset = random.next(below: bus.endOffset(of: target) + 1)
    guard chance(20) else {
      bus.storeOffset(offset, group: Self.group, of: target) { [self] in
        guard case .success = $0, !isEnding else { return }
        storedOffsets[target] = max(offset, storedOffsets[target] ?? 0)
      }
      return
    }
    // Until it is answered it may have happened or not.
    askedOffsets[target, default: []].append(offset)
    bus.rewindOffset(to: offset, group: Self.group, of: target) { [self] in
      guard case .success = $0, !isEnding else { return }
      rewinds += 1
      storedOffsets[target] = offset
      askedOffsets[target]?.removeAll { $0 == offset }
    }
  }

  private func readSome() {
    guard let bus else { return }
    let target = Self.targets[Int(random.next(below: UInt64(Self.targets.count)))]
    let start = random.next(below: bus.endOffset(of: target) + 2)
    let request = PollRequest(
      target, from: .offset(start), countMax: 1 + Int(random.next(below: 9)), bytesMax: 4_000)
    bus.poll(request) { [self] in
      if isEnding { return }
      guard case .success(let result) = $0 else {
        return disk.hasFailed || isClosing ? () : problem("a poll failed: \($0)")
      }
      if result.records.isEmpty != (start >= bus.endOffset(of: target)),
        start < result.endOffset
      {
        problem("a poll from \(start) of \(result.endOffset) found nothing")
      }
      for (index, record) in result.records.enumerated() {
        check(record, target, expected: start + UInt64(index))
      }
    }
  }

  private func check(_ record: PolledRecord, _ target: TopicPartition, expected: UInt64) {
    if record.offset != expected { problem("offset \(record.offset) for \(expected)") }
    let number = BusFixtures.number(record)
    let text = String(decoding: record.payloadBytes, as: UTF8.self)
    if !text.hasPrefix("{\"n\":\(number)}") { problem("record \(number) has other content") }
    know(target, record.offset, number)
  }

  // MARK: Verification

  /// Reads everything back: nothing known is gone, no append is there in part, offsets are dense,
  /// append times never fall.
  func verify() {
    guard let bus, !disk.isDead else { return }
    var found: Set<Int> = []
    for target in Self.targets {
      let records = readAll(target)
      if disk.isDead { return }
      var last = Int64.min
      for (index, record) in records.enumerated() {
        check(record, target, expected: UInt64(index))
        if record.appendTime.microseconds < last { problem("append time fell in \(target)") }
        last = record.appendTime.microseconds
        if !found.insert(BusFixtures.number(record)).inserted { problem("a record is there twice") }
      }
      for offset in known[target, default: [:]].keys where offset >= UInt64(records.count) {
        problem("record \(offset) of \(target) is gone; \(records.count) are there")
      }
      let lowest = min(storedOffsets[target] ?? 0, askedOffsets[target]?.min() ?? .max)
      if let found = bus.storedOffset(group: Self.group, of: target), found < lowest {
        problem("the stored offset of \(target) went back")
      } else if bus.storedOffset(group: Self.group, of: target) == nil, lowest > 0 {
        problem("the stored offset of \(target) is gone")
      }
    }
    for (index, attempt) in attempts.enumerated() {
      let present = attempt.filter { found.contains($0.1) }.count
      if present != 0, present != attempt.count { problem("append \(index) is there in part") }
    }
  }

  private func readAll(_ target: TopicPartition) -> [PolledRecord] {
    guard let bus else { return [] }
    var records: [PolledRecord] = []
    while UInt64(records.count) < bus.endOffset(of: target) {
      var result: Result<PollResult, BusError>?
      bus.poll(
        PollRequest(
          target, from: .offset(UInt64(records.count)), countMax: 1 + Int(random.next(below: 50)),
          bytesMax: 1 << 20)
      ) { result = $0 }
      loop.settle()
      guard case .success(let page) = result, !page.records.isEmpty else {
        if !disk.isDead { problem("reading \(target) ended at \(records.count): \(result as Any)") }
        return records
      }
      records += page.records
    }
    return records
  }
}
