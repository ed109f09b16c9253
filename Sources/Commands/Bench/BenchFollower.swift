import Base
import Events
import LogBroker

/// A reader at the end of every partition, in the process that appends: what it is handed must
/// be durable.
final class BenchFollower {
  private let bus: EmbeddedBus
  private let seen: EventLines?
  private let stored: EventLines?
  private var positions: [UInt64] = []
  private var isPolling: [Bool] = []
  /// There was more while a poll was under way, which may have been answered before.
  private var hasGrown: [Bool] = []
  private var watches: [any Cancellable] = []
  private(set) var failure: BusError?

  /// The consumer group that `stored` is about.
  static let group = "bench"

  /// Begins at the present ends.
  ///
  /// - Parameters:
  ///   - seen: what was handed over.
  ///   - stored: the group's offsets as they are found, and as they are stored behind what was
  ///     handed over.
  init(_ bus: EmbeddedBus, seen: EventLines?, stored: EventLines?) {
    self.bus = bus
    self.seen = seen
    self.stored = stored
    let count = bus.partitionCount(of: .bench)
    isPolling = [Bool](repeating: false, count: count)
    hasGrown = isPolling
    for partition in 0..<count {
      positions.append(bus.endOffset(of: TopicPartition(.bench, partition)))
      if let offset = bus.storedOffset(
        group: Self.group, of: TopicPartition(.bench, partition))
      {
        note(offset, stored: partition)
      }
      watches.append(
        bus.watch(TopicPartition(.bench, partition)) { [weak self] in self?.poll(partition) })
    }
  }

  /// Whether everything there is has been handed over, or nothing will be any more.
  var isDone: Bool {
    failure != nil
      || positions.indices.allSatisfy {
        positions[$0] >= bus.endOffset(of: TopicPartition(.bench, $0))
      }
  }

  func stop() {
    for watch in watches { watch.cancel() }
    watches = []
  }

  private func poll(_ partition: Int) {
    guard failure == nil else { return }
    hasGrown[partition] = isPolling[partition]
    if isPolling[partition] { return }
    isPolling[partition] = true
    let request = PollRequest(
      TopicPartition(.bench, partition), from: .offset(positions[partition]), countMax: 10_000,
      bytesMax: 1 << 20)
    bus.poll(request) { [weak self] in self?.polled(partition, $0) }
  }

  private func polled(_ partition: Int, _ result: Result<PollResult, BusError>) {
    isPolling[partition] = false
    switch result {
    case .failure(.belowStart(let first)):
      // Retention was faster.
      positions[partition] = first
      poll(partition)
    case .failure(let error):
      failure = error
    case .success(let result):
      guard let first = result.records.first else {
        if hasGrown[partition] { poll(partition) }
        return
      }
      seen?.write { line in
        line.member("partition", partition)
        line.member("offset", first.offset)
        line.member("count", result.records.count)
      }
      positions[partition] = first.offset + UInt64(result.records.count)
      if stored != nil { store(positions[partition] - 1, partition) }
      poll(partition)
    }
  }

  private func store(_ offset: UInt64, _ partition: Int) {
    let target = TopicPartition(.bench, partition)
    bus.storeOffset(offset, group: Self.group, of: target) { [weak self] in
      if case .success = $0 { self?.note(offset, stored: partition) }
    }
  }

  private func note(_ offset: UInt64, stored partition: Int) {
    stored?.write { line in
      line.member("partition", partition)
      line.member("offset", offset)
    }
  }
}
