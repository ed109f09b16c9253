import Base
import Events

/// What is on the disk: it outlives the processes that write it.
final class SimulatedLog {
  struct Stored {
    var record: BusRecord
    var appendTime: Timestamp
  }

  private(set) var partitions: [TopicPartition: [Stored]] = [:]
  /// Told of every batch that became durable, before anybody else can see it.
  var onStore: (TopicPartition, [BusRecord], _ first: UInt64) -> Void = { _, _, _ in }

  func store(_ batch: PartitionBatch, at time: Timestamp) -> UInt64 {
    let first = UInt64(partitions[batch.target]?.count ?? 0)
    partitions[batch.target, default: []] += batch.records.map {
      Stored(record: $0, appendTime: time)
    }
    onStore(batch.target, batch.records, first)
    return first
  }

  func end(_ target: TopicPartition) -> Int { partitions[target]?.count ?? 0 }
}

/// One process' way to the log, with the promises of SEMANTICS D5 and no more: order per
/// partition, at least once, and an acknowledgement after the records are durable. It can be slow,
/// full, and cut off in the middle of an append.
final class SimulatedBus: MessageBus {
  struct Faults {
    /// Bounds of what a commit takes.
    var commit = (least: Nanoseconds(200_000), most: Nanoseconds.milliseconds(3))
    /// Appends that are answered with `diskFull`, and of which nothing is kept.
    var failures = 0
    /// Appends that are answered with an error although all of them was kept.
    var liesLeft = 0
  }

  let partitionCount: Int
  var faults = Faults()
  private let log: SimulatedLog
  private let timers: any TimerService
  private let random: any RandomSource
  private var underWay: [(order: Int, batches: [PartitionBatch])] = []
  private var orders = 0
  private var lastDue = Nanoseconds.zero
  private var groupOffsets: [TopicPartition: UInt64] = [:]

  init(log: SimulatedLog, partitions: Int, timers: any TimerService, random: any RandomSource) {
    self.log = log
    partitionCount = partitions
    self.timers = timers
    self.random = random
  }

  var inFlight: Int { underWay.count }

  func partitionCount(of topic: Topic) -> Int { topic.isSessionKeyed ? partitionCount : 1 }

  func append(
    _ batches: [PartitionBatch], completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    orders += 1
    let order = orders
    let isRefused = faults.failures > 0
    let isLie = !isRefused && faults.liesLeft > 0
    faults.failures -= isRefused ? 1 : 0
    faults.liesLeft -= isLie ? 1 : 0
    if !isRefused { underWay.append((order, batches)) }
    after(commitTime()) { [self] in
      guard !isRefused else { return completion(.failure(.diskFull)) }
      precondition(underWay.first?.order == order, "commits overtook each other")
      let offsets = underWay.removeFirst().batches.map { log.store($0, at: timers.clock.wall()) }
      completion(isLie ? .failure(.unavailable("cut off")) : .success(offsets))
    }
  }

  private func commitTime() -> Nanoseconds {
    let span = faults.commit.most - faults.commit.least
    return faults.commit.least + Nanoseconds(Int64(random.next(below: UInt64(span.count + 1))))
  }

  /// Runs `body` after `delay`, and not before what was asked for earlier.
  private func after(_ delay: Nanoseconds, _ body: @escaping () -> Void) {
    let now = timers.clock.monotonic()
    lastDue = max(lastDue, now + delay)
    timers.schedule(after: lastDue - now, body)
  }

  /// The process dies: the first `whole` appends under way reached the disk, and of the one after
  /// them what the random source says, partition by partition.
  func die(keeping whole: Int, tearing: Bool) {
    let now = timers.clock.wall()
    for (position, item) in underWay.prefix(whole + (tearing ? 1 : 0)).enumerated() {
      for batch in item.batches {
        var kept = batch
        if position == whole {
          let count = Int(random.next(below: UInt64(batch.records.count + 1)))
          kept.records.removeSubrange(count...)
        }
        if !kept.records.isEmpty { _ = log.store(kept, at: now) }
      }
    }
    underWay = []
  }

  func poll(
    _ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void
  ) {
    guard case .offset(let start) = request.start else { return }
    // What a poll sees may be older than its answer.
    let all = log.partitions[request.target] ?? []
    let from = Int(min(start, UInt64(all.count)))
    let records = (from..<all.count).prefix(request.countMax).map { Self.polled(all[$0], $0) }
    timers.schedule(after: Nanoseconds(Int64(random.next(below: 400_000)))) {
      completion(.success(PollResult(records: records, endOffset: UInt64(all.count))))
    }
  }

  private static func polled(_ stored: SimulatedLog.Stored, _ offset: Int) -> PolledRecord {
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: stored.record.payload.count, alignment: 8)
    bytes.copyBytes(from: stored.record.payload)
    return PolledRecord(
      offset: UInt64(offset), appendTime: stored.appendTime, id: stored.record.eventID.value,
      storage: SharedBytes(UnsafeRawBufferPointer(bytes), release: { $0.deallocate() }),
      payload: 0..<bytes.count, headers: 0..<0)
  }

  func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable {
    MemoryBus.Watch()
  }

  func endOffset(of target: TopicPartition) -> UInt64 { UInt64(log.end(target)) }

  func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    groupOffsets[target] = offset
    timers.schedule(after: .milliseconds(1)) { completion(.success(())) }
  }

  func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    groupOffsets[target]
  }

  func status() -> [TopicStatus] { [] }
}

/// The timers of one process: they die with it.
final class ProcessTimers: TimerService {
  private let time: VirtualTime
  var isDead = false

  init(_ time: VirtualTime) { self.time = time }

  var clock: any Clock { time.clock }

  @discardableResult
  func schedule(after delay: Nanoseconds, _ body: @escaping () -> Void) -> any Cancellable {
    time.schedule(after: delay) { [self] in
      if !isDead { body() }
    }
  }
}
