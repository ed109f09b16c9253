// Contract: whatever is appended and however it is asked for (offset, time, first, last; any count
// and size), a poll answers what a list in memory would, from memory, from segments and after
// restarts, while the clock jumps in both directions; append time never falls within a partition.

import Base
import Events
import LogBroker
import TestSupport
import Testing

/// A clock whose wall time jumps.
private final class JumpingLoop: LogLoop {
  let inner: SimulatedLoop
  let jumping = JumpingClock()
  var clock: any Clock { jumping }

  init(_ inner: SimulatedLoop) { self.inner = inner }

  func enqueue(_ body: @escaping () -> Void) { inner.enqueue(body) }
  func beforeSleep(_ body: @escaping () -> Void) { inner.beforeSleep(body) }
  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable {
    inner.schedule(after: delay, body)
  }
}

@Suite struct PollModelTests {
  private struct Entry {
    var number: Int
    var time: Int64
  }

  private final class Run {
    let random: SeededRandom
    var loop: SimulatedLoop
    var clocked: JumpingLoop
    var disk: SimulatedDisk
    var bus: EmbeddedBus
    var model: [TopicPartition: [Entry]] = [:]
    var problems: [String] = []
    var next = 0

    init(seed: UInt64) throws {
      random = SeededRandom(seed: seed)
      loop = SimulatedLoop(seed: seed)
      disk = SimulatedDisk(loop: loop, seed: seed)
      clocked = JumpingLoop(loop)
      bus = try Self.open(disk, clocked)
    }

    static func open(_ disk: SimulatedDisk, _ loop: JumpingLoop) throws -> EmbeddedBus {
      var options = EmbeddedBusOptions(
        storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
      options.partitions = 2
      options.limits = BusWorkload.limits
      return try EmbeddedBus.open(options)
    }

    func reopen() throws {
      if random.next() & 1 == 0 {
        bus.close {}
        loop.settle()
      }
      loop.forgetEverything()
      loop = SimulatedLoop(seed: random.next())
      disk = disk.afterKill(loop: loop)
      let clock = clocked.jumping
      clocked = JumpingLoop(loop)
      clocked.jumping.set(clock.wall())
      bus = try Self.open(disk, clocked)
    }

    func target() -> TopicPartition {
      BusWorkload.targets[Int(random.next(below: UInt64(BusWorkload.targets.count)))]
    }

    /// Appends and waits, so that the model knows the order.
    func append() {
      let target = target()
      let before = clocked.jumping.wall().microseconds + Int64(random.next(below: 3))
      clocked.jumping.set(Timestamp(microseconds: before))
      let records = (0...random.next(below: 4)).map { _ in
        next += 1
        return BusFixtures.record(next, bytes: 20 + Int(random.next(below: 900)))
      }
      var firsts: [UInt64] = []
      bus.append([PartitionBatch(target, records)]) { firsts = (try? $0.get()) ?? [] }
      loop.settle()
      if firsts != [UInt64(model[target, default: []].count)] {
        problems.append("append gave \(firsts)")
      }
      let time = max(before, model[target]?.last?.time ?? 0)
      model[target, default: []] += records.map {
        Entry(number: Int($0.eventID.value >> 8), time: time)
      }
    }

    func jump() {
      let hours = Int64(random.next(below: 3)) * 87_600 - 87_600
      let wall = clocked.jumping.wall().microseconds + hours * 3_600_000_000
      clocked.jumping.set(Timestamp(microseconds: max(1, wall)))
    }

    func poll() {
      let target = target()
      let entries = model[target, default: []]
      let count = 1 + Int(random.next(below: 12))
      let (start, first) = choose(entries, count)
      var result: Result<PollResult, BusError>?
      bus.poll(
        PollRequest(
          target, from: start, countMax: count, bytesMax: 1 + Int(random.next(below: 3_000)))
      ) { result = $0 }
      loop.settle()
      guard case .success(let page) = result else {
        problems.append("poll \(start): \(result as Any)")
        return
      }
      if page.endOffset != UInt64(entries.count) { problems.append("end \(page.endOffset)") }
      let expected = entries.dropFirst(first).prefix(count)
      if page.records.isEmpty != expected.isEmpty || page.records.count > expected.count {
        problems.append("poll \(start): \(page.records.count) records of \(expected.count)")
      }
      for (index, record) in page.records.enumerated() where first + index < entries.count {
        let entry = entries[first + index]
        let isSame =
          record.offset == UInt64(first + index) && BusFixtures.number(record) == entry.number
          && record.appendTime.microseconds == entry.time
        if !isSame { problems.append("poll \(start): record \(index) is another") }
      }
    }

    /// A start, and the index of the first record the model answers with.
    private func choose(_ entries: [Entry], _ count: Int) -> (PollStart, Int) {
      switch random.next(below: 5) {
      case 0: return (.first, 0)
      case 1: return (.last, max(0, entries.count - count))
      case 2:
        let times = entries.map(\.time) + [clocked.jumping.wall().microseconds, 0]
        let base = times[Int(random.next(below: UInt64(times.count)))]
        let time = base + Int64(random.next(below: 3)) - 1
        let first = entries.firstIndex { $0.time >= time } ?? entries.count
        return (.timestamp(Timestamp(microseconds: time)), first)
      default:
        let offset = Int(random.next(below: UInt64(entries.count + 3)))
        return (.offset(UInt64(offset)), min(offset, entries.count))
      }
    }
  }

  @Test(arguments: 0..<30) func pollsAnswerAsAListWould(seed: Int) throws {
    let run = try Run(seed: UInt64(seed))
    for _ in 0..<150 {
      switch run.random.next(below: 20) {
      case 0...8: run.append()
      case 9...17: run.poll()
      case 18: run.jump()
      default: try run.reopen()
      }
    }
    #expect(run.problems.isEmpty, "seed \(seed): \(run.problems.first ?? "")")
    #expect(run.next > 20)
  }
}

private final class JumpingClock: Clock, @unchecked Sendable {
  // Sendable because the test has one thread.
  private var now = Timestamp(microseconds: 1_767_225_600_000_000)

  func monotonic() -> Nanoseconds { .zero }

  func wall() -> Timestamp { now }

  func set(_ time: Timestamp) { now = time }
}
