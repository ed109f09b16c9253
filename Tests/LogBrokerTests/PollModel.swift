import Base
import Events
import LogBroker
import TestSupport

/// A loop whose wall time can jump.
final class JumpingLoop: LogLoop {
  let inner: SimulatedLoop
  let jumping: JumpingClock
  var clock: any Clock { jumping }

  init(_ inner: SimulatedLoop, _ clock: JumpingClock) {
    self.inner = inner
    jumping = clock
  }

  func enqueue(_ body: @escaping () -> Void) { inner.enqueue(body) }
  func beforeSleep(_ body: @escaping () -> Void) { inner.beforeSleep(body) }
  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable {
    inner.schedule(after: delay, body)
  }
}

final class JumpingClock: Clock, @unchecked Sendable {
  // Sendable because the test has one thread.
  private var now: Int64 = 1_767_225_600_000_000
  /// Time that has really passed, µs.
  private(set) var passed: Int64 = 0

  func monotonic() -> Nanoseconds { Nanoseconds(passed * 1_000) }
  func wall() -> Timestamp { Timestamp(microseconds: now) }

  func advance(_ micros: Int64) {
    now += micros
    passed += micros
  }

  func jump(_ micros: Int64) { now = max(1, now + micros) }
}

/// A bus beside a list in memory that is told the same; what differs is in `problems`.
final class PollModel {
  struct Entry {
    var number: Int
    var time: Int64
    /// When it was really appended, µs that had passed.
    var passed: Int64
    var bytes: Int
  }

  private final class State {
    var entries: [Entry] = []
    var first = 0
    var stored: UInt64?
  }

  static let expiring = TopicPartition(.costs, 0)
  static let bounded = TopicPartition(.tokenUsage, 0)
  static let replicated = TopicPartition(.latency, 0)
  static let targets = BusWorkload.targets + [expiring, bounded, replicated]
  static let expiry: Int64 = 6 * hour
  static let boundedBytes = 32 << 10
  static let hour: Int64 = 3_600_000_000
  /// What a segment of the bounded topic may grow to: almost its limit, then the largest batch, and
  /// the blocks that both fill up.
  static let segmentBytesMost = 20 << 10

  let random: SeededRandom
  private var loop: SimulatedLoop
  private var clocked: JumpingLoop
  private var disk: SimulatedDisk
  private var bus: EmbeddedBus
  private var states: [TopicPartition: State] = [:]
  private(set) var problems: [String] = []
  private(set) var next = 0
  private(set) var deleted = 0
  private(set) var expired = 0
  /// Jumps that are too small to be told from a clock that is set right, µs.
  private var slack: Int64 = 0
  let metrics = LogMetrics()

  init(seed: UInt64) throws {
    random = SeededRandom(seed: seed)
    loop = SimulatedLoop(seed: seed)
    disk = SimulatedDisk(loop: loop, seed: seed)
    clocked = JumpingLoop(loop, JumpingClock())
    for target in Self.targets { states[target] = State() }
    bus = try Self.open(disk, clocked, metrics)
    loop.settle()
  }

  private static func open(
    _ disk: SimulatedDisk, _ loop: JumpingLoop, _ metrics: LogMetrics
  ) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits = BusWorkload.limits
    options.metrics = metrics
    var settings = TopicSettings()
    settings.retentionAge = .seconds(expiry / 1_000_000)
    settings.segmentAge = .seconds(1_800)
    options.topics[.costs] = settings
    settings = TopicSettings()
    settings.retentionBytes = boundedBytes
    settings.segmentBytes = 4 << 10
    settings.compression = .zstd
    options.topics[.tokenUsage] = settings
    settings = TopicSettings()
    settings.durability = .replicated
    options.topics[.latency] = settings
    return try EmbeddedBus.open(options)
  }

  func problem(_ text: String) { problems.append(text) }

  private func pick() -> (TopicPartition, State) {
    let target = Self.targets[Int(random.next(below: UInt64(Self.targets.count)))]
    return (target, states[target]!)
  }

  // MARK: Lives and time

  func reopen() throws {
    let ends = BusWorkload.End.allCases
    let end = ends[Int(random.next(below: 3))]
    // A power loss may take what a replicated topic acknowledged: once it is synced it may not.
    if end == .powerLoss { sync() }
    if end == .close {
      bus.close {}
      loop.settle()
    }
    noteDeletions()
    loop.forgetEverything()
    loop = SimulatedLoop(seed: random.next())
    disk = end == .powerLoss ? disk.afterPowerLoss(loop: loop) : disk.afterKill(loop: loop)
    if end == .powerLoss, random.next() & 1 == 0 {
      clocked.jumping.advance(Int64(random.next(below: 48)) * Self.hour)
    }
    clocked = JumpingLoop(loop, clocked.jumping)
    bus = try Self.open(disk, clocked, metrics)
    loop.settle()
    if end == .powerLoss { skipGap() }
    noteDeletions()
  }

  private func sync() {
    for _ in 0..<8 where metrics.unsyncedBytes.value > 0 {
      loop.fireNextTimer()
      loop.settle()
    }
  }

  /// A replicated partition went on above its reservation: offsets without records.
  private func skipGap() {
    let state = states[Self.replicated]!
    let end = bus.endOffset(of: Self.replicated)
    if end < UInt64(state.entries.count) { problem("records are gone: \(end)") }
    // The model's offsets have no gaps: begin anew behind it.
    gapEnd = end
    if end > UInt64(state.entries.count) { isGapped = true }
  }

  private var gapEnd: UInt64 = 0
  /// From now on offsets of the replicated partition are no longer followed.
  private(set) var isGapped = false

  func jump() {
    let jumps: [Int64] = [Self.hour, -Self.hour, 87_660 * Self.hour, -87_660 * Self.hour]
    let jump = jumps[Int(random.next(below: 4))]
    if abs(jump) == Self.hour { slack += Self.hour }
    clocked.jumping.jump(jump)
    retain()
    // Somebody sets it right, sometimes.
    if random.next() & 1 == 0 { clocked.jumping.jump(-jump) }
  }

  func advance() { clocked.jumping.advance(Int64(random.next(below: 90)) * 60_000_000) }

  // MARK: Writing

  /// Appends and waits, so that the model knows the order.
  func append() {
    let (target, state) = pick()
    clocked.jumping.advance(Int64(random.next(below: 3)))
    let now = clocked.jumping.wall().microseconds
    let records = (0...random.next(below: 4)).map { _ in
      next += 1
      return BusFixtures.record(next, bytes: 20 + Int(random.next(below: 900)))
    }
    var firsts: [UInt64] = []
    bus.append([PartitionBatch(target, records)]) { [self] in
      firsts = (try? $0.get()) ?? []
      if case .failure(let error) = $0 { problem("append: \(error)") }
    }
    loop.settle()
    if target == Self.replicated, isGapped {
      if (firsts.first ?? 0) < gapEnd { problem("offset \(firsts) again") }
      gapEnd = (firsts.first ?? 0) + UInt64(records.count)
      return
    }
    if firsts != [UInt64(state.entries.count)] { problem("append gave \(firsts)") }
    let time = max(now, state.entries.last?.time ?? 0)
    state.entries += records.map {
      Entry(
        number: Int($0.eventID.value >> 8), time: time, passed: clocked.jumping.passed,
        bytes: $0.payload.count)
    }
    noteDeletions()
  }

  func storeOffset() {
    let (target, state) = pick()
    let offset = random.next(below: UInt64(state.entries.count + 1))
    var isStored = false
    bus.storeOffset(offset, group: "g", of: target) { if case .success = $0 { isStored = true } }
    loop.settle()
    if !isStored { problem("an offset was refused") }
    state.stored = max(offset, state.stored ?? 0)
    for (target, state) in states where bus.storedOffset(group: "g", of: target) != state.stored {
      problem("the stored offset is another")
    }
  }

  // MARK: Deleting

  func deleteRecords() {
    let (target, state) = pick()
    if target == Self.replicated, isGapped { return }
    // Small steps, so that something is left.
    let offset = min(state.entries.count, state.first + Int(random.next(below: 6)))
    var result: Result<UInt64, BusError>?
    bus.deleteRecords(of: target, upTo: UInt64(offset)) { result = $0 }
    loop.settle()
    deleted += max(0, offset - state.first)
    state.first = max(state.first, offset)
    if result != .success(UInt64(state.first)) { problem("delete: \(result as Any)") }
  }

  func retain() {
    bus.applyRetention()
    loop.settle()
    noteDeletions()
    let state = states[Self.bounded]!
    let bytes = state.entries[state.first...].reduce(0) { $0 + $1.bytes }
    // One segment and what waits in memory stay in any case.
    if bytes > Self.boundedBytes + Self.segmentBytesMost { problem("\(bytes) bytes are kept") }
  }

  /// Looks which records retention took, and whether it was right to.
  private func noteDeletions() {
    for (target, state) in states where !(target == Self.replicated && isGapped) {
      let first = Int(bus.firstOffset(of: target))
      if first < state.first { problem("deleted records are back in \(target)") }
      guard first > state.first else { continue }
      guard first <= state.entries.count else { return problem("more was deleted than there is") }
      switch target {
      case Self.expiring:
        let youngest = state.entries[..<first].last!
        let age = clocked.jumping.passed - youngest.passed
        if age + slack <= Self.expiry { problem("deleted after \(age / 60_000_000) minutes") }
        expired += first - state.first
      case Self.bounded:
        // One segment less than is too much at most, blocks that are filled up included.
        let left = bus.status().first { $0.topic == target.topic }?.bytes ?? 0
        if left + Self.segmentBytesMost <= Self.boundedBytes {
          let cut = "\(state.first)..<\(first) of \(state.entries.count)"
          problem("deleted \(cut), down to \(left) bytes")
        }
      default: problem("\(target) was cut to \(first)")
      }
      deleted += first - state.first
      state.first = first
    }
  }

  // MARK: Reading

  func poll() {
    // Retention may have been about to cut.
    loop.settle()
    noteDeletions()
    let (target, state) = pick()
    if target == Self.replicated, isGapped { return }
    let count = 1 + Int(random.next(below: 12))
    let (start, first) = choose(state, count)
    var result: Result<PollResult, BusError>?
    bus.poll(
      PollRequest(
        target, from: start, countMax: count, bytesMax: 1 + Int(random.next(below: 3_000)))
    ) { result = $0 }
    loop.settle()
    if case .failure(.belowStart(let named)) = result {
      if case .offset(let offset) = start, offset < UInt64(state.first), named == state.first {
        return
      }
      return problem("poll \(start): refused, beginning at \(named)")
    }
    guard case .success(let page) = result, first >= state.first else {
      return problem("poll \(start) of \(state.first)...: \(result as Any)")
    }
    compare(page, state, start, first, count)
  }

  private func compare(
    _ page: PollResult, _ state: State, _ start: PollStart, _ first: Int, _ count: Int
  ) {
    if page.endOffset != UInt64(state.entries.count) { problem("end \(page.endOffset)") }
    let expected = state.entries.dropFirst(first).prefix(count)
    if page.records.isEmpty != expected.isEmpty || page.records.count > expected.count {
      problem("poll \(start): \(page.records.count) records of \(expected.count)")
    }
    for (index, record) in page.records.enumerated() where first + index < state.entries.count {
      let entry = state.entries[first + index]
      let isSame =
        record.offset == UInt64(first + index) && BusFixtures.number(record) == entry.number
        && record.appendTime.microseconds == entry.time
      if !isSame { problem("poll \(start): record \(index) is another") }
    }
  }

  /// A start, and the index of the first record the model answers with.
  private func choose(_ state: State, _ count: Int) -> (PollStart, Int) {
    let entries = state.entries
    switch random.next(below: 5) {
    case 0: return (.first, state.first)
    case 1: return (.last, max(state.first, entries.count - count))
    case 2:
      let times = entries.map(\.time) + [clocked.jumping.wall().microseconds, 0]
      let base = times[Int(random.next(below: UInt64(times.count)))]
      let time = base + Int64(random.next(below: 3)) - 1
      let first = entries[state.first...].firstIndex { $0.time >= time } ?? entries.count
      return (.timestamp(Timestamp(microseconds: time)), first)
    default:
      let offset = Int(random.next(below: UInt64(entries.count + 3)))
      return (.offset(UInt64(offset)), min(offset, entries.count))
    }
  }
}
