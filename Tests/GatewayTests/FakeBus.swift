import Base
import Events

/// A bus in memory whose completions run when `run` is called, in the order of the calls.
final class FakeBus: MessageBus {
  struct Stored {
    var appendTime: Timestamp
    var payload: [UInt8]
  }

  let partitionCount = 4
  private(set) var partitions: [TopicPartition: [Stored]] = [:]
  private var watches: [TopicPartition: [Watch]] = [:]
  private var pending: [() -> Void] = []
  var stored: [String: [TopicPartition: UInt64]] = [:]
  var failure: BusError?
  private(set) var pollCount = 0
  /// Runs completions by itself when set.
  var enqueue: ((@escaping () -> Void) -> Void)?

  private final class Watch: Cancellable {
    var body: (() -> Void)?
    init(_ body: @escaping () -> Void) { self.body = body }
    func cancel() { body = nil }
  }

  var watchCount: Int { watches.values.joined().count { $0.body != nil } }

  /// Puts a record there and tells who watches.
  func put(_ target: TopicPartition, at seconds: Int64, _ payload: String) {
    partitions[target, default: []].append(
      Stored(
        appendTime: Timestamp(microseconds: seconds * 1_000_000), payload: Array(payload.utf8)))
    for watch in watches[target] ?? [] { watch.body?() }
  }

  /// Runs completions until none is left.
  func run() {
    while !pending.isEmpty { pending.removeFirst()() }
  }

  func partitionCount(of topic: Topic) -> Int { topic.isSessionKeyed ? partitionCount : 1 }

  func poll(_ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void) {
    pollCount += 1
    let all = partitions[request.target] ?? []
    let start: Int =
      switch request.start {
      case .first: 0
      case .last: max(0, all.count - request.countMax)
      case .offset(let offset): min(all.count, Int(offset))
      case .timestamp: preconditionFailure("not used")
      }
    let end = min(all.count, start + request.countMax)
    let records = (start..<end).map { record(offset: $0, all[$0]) }
    let failure = failure
    let body = {
      if let failure { return completion(.failure(failure)) }
      completion(.success(PollResult(records: records, endOffset: UInt64(all.count))))
    }
    if let enqueue { enqueue(body) } else { pending.append(body) }
  }

  /// The first byte stands for the headers, which the payload follows.
  private func record(offset: Int, _ stored: Stored) -> PolledRecord {
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: stored.payload.count + 1, alignment: 1)
    bytes[0] = UInt8(ascii: "h")
    UnsafeMutableRawBufferPointer(rebasing: bytes[1...]).copyBytes(from: stored.payload)
    return PolledRecord(
      offset: UInt64(offset), appendTime: stored.appendTime, id: 0,
      storage: SharedBytes(UnsafeRawBufferPointer(bytes)) { $0.deallocate() },
      payload: 1..<bytes.count, headers: 0..<1)
  }

  func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable {
    let watch = Watch(body)
    watches[target, default: []].append(watch)
    return watch
  }

  func endOffset(of target: TopicPartition) -> UInt64 { UInt64(partitions[target]?.count ?? 0) }

  func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    stored[group]?[target]
  }

  func status() -> [TopicStatus] {
    [
      TopicStatus(topic: .turnsRequests, partitions: 4, messages: 12, bytes: 4_096),
      TopicStatus(topic: .calls, partitions: 4, messages: 0, bytes: 0),
    ]
  }

  func append(
    _ batches: [PartitionBatch], completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) { preconditionFailure("the gateway appends nothing") }

  func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) { preconditionFailure("the gateway consumes nothing") }
}
