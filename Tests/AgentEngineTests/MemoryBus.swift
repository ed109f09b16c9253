import Base
import Events

/// A bus in memory with the embedded bus' promises: appends become durable, and visible, when their
/// commit is through. A crash keeps what is durable and, of what is under way, what the seed says.
final class MemoryBus: MessageBus {
  struct Stored {
    var record: BusRecord
    var appendTime: Timestamp
  }

  let partitionCount: Int
  /// What a commit takes.
  var commitDelay = Nanoseconds.milliseconds(1)
  /// Answers the next appends with this, and keeps nothing of them.
  var failNext: [BusError] = []
  private(set) var stored: [TopicPartition: [Stored]] = [:]
  private(set) var appends = 0
  private var underWay: [(batches: [PartitionBatch], order: Int)] = []
  private var watchers: [(TopicPartition, Watch)] = []
  private var offsets: [String: UInt64] = [:]
  private let time: VirtualTime
  private var isDead = false

  final class Watch: Cancellable {
    var body: (() -> Void)?
    func cancel() { body = nil }
  }

  init(time: VirtualTime, partitions: Int = 4) {
    self.time = time
    partitionCount = partitions
  }

  func partitionCount(of topic: Topic) -> Int { topic.isSessionKeyed ? partitionCount : 1 }

  func append(
    _ batches: [PartitionBatch], completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    appends += 1
    let order = appends
    if !failNext.isEmpty {
      let error = failNext.removeFirst()
      time.schedule(after: commitDelay) { [self] in
        if !isDead { completion(.failure(error)) }
      }
      return
    }
    underWay.append((batches, order))
    time.schedule(after: commitDelay) { [self] in
      guard !isDead, let index = underWay.firstIndex(where: { $0.order == order }) else {
        return
      }
      let first = store(underWay.remove(at: index).batches)
      completion(.success(first))
    }
  }

  private func store(_ batches: [PartitionBatch]) -> [UInt64] {
    batches.map { batch in
      let first = UInt64(stored[batch.target]?.count ?? 0)
      stored[batch.target, default: []] += batch.records.map {
        Stored(record: $0, appendTime: time.clock.wall())
      }
      return first
    }
  }

  /// The process dies: nothing is answered any more; of the appends under way the first `kept`
  /// reached the disk. The next owner gets the returned bus.
  func crash(keeping kept: Int) -> MemoryBus {
    isDead = true
    let next = MemoryBus(time: time, partitions: partitionCount)
    for item in underWay.prefix(kept) { _ = store(item.batches) }
    next.stored = stored
    return next
  }

  var inFlight: Int { underWay.count }

  func poll(
    _ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void
  ) {
    time.schedule(after: .zero) { [self] in
      guard !isDead else { return }
      let all = stored[request.target] ?? []
      guard case .offset(let start) = request.start else { return }
      var records: [PolledRecord] = []
      for index in Int(min(start, UInt64(all.count)))..<all.count {
        guard records.count < request.countMax else { break }
        records.append(polled(all[index], UInt64(index)))
      }
      completion(.success(PollResult(records: records, endOffset: UInt64(all.count))))
    }
  }

  private func polled(_ stored: Stored, _ offset: UInt64) -> PolledRecord {
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: stored.record.payload.count, alignment: 8)
    bytes.copyBytes(from: stored.record.payload)
    return PolledRecord(
      offset: offset, appendTime: stored.appendTime, id: stored.record.eventID.value,
      storage: SharedBytes(UnsafeRawBufferPointer(bytes), release: { $0.deallocate() }),
      payload: 0..<bytes.count, headers: 0..<0)
  }

  func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable {
    let watch = Watch()
    watch.body = body
    watchers.append((target, watch))
    return watch
  }

  func endOffset(of target: TopicPartition) -> UInt64 { UInt64(stored[target]?.count ?? 0) }

  func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    offsets["\(group) \(target)"] = offset
    time.schedule(after: commitDelay) { completion(.success(())) }
  }

  func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    offsets["\(group) \(target)"]
  }

  func status() -> [TopicStatus] { [] }

  /// Rewrites what is stored on a topic, as another release, or damage, would have it. Returns how
  /// many records changed.
  func rewrite(_ topic: Topic, _ change: (String) -> String) -> Int {
    var changed = 0
    for partition in 0..<partitionCount(of: topic) {
      let target = TopicPartition(topic, partition)
      for index in (stored[target] ?? []).indices {
        let before = stored[target]![index].record
        let after = Array(change(String(decoding: before.payload, as: UTF8.self)).utf8)
        guard after != Array(before.payload) else { continue }
        changed += 1
        stored[target]![index].record.payload = after
      }
    }
    return changed
  }

  /// Everything on a topic as JSON, partitions one after the other.
  func events(_ topic: Topic) -> [JSON] {
    (0..<partitionCount(of: topic)).flatMap { partition in
      (stored[TopicPartition(topic, partition)] ?? []).map {
        (try? JSON(parsing: $0.record.payload)) ?? .null
      }
    }
  }
}
