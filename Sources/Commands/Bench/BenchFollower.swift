import Base
import Events
import LogBroker

/// A reader at the end of every partition, in the process that appends: what it is handed must
/// be durable.
final class BenchFollower {
  private let bus: EmbeddedBus
  private let lines: EventLines
  private var positions: [UInt64] = []
  private var isPolling: [Bool] = []
  private var watches: [any Cancellable] = []
  /// Called when a reader has met the end of its partition.
  var onIdle: () -> Void = {}
  private(set) var failure: BusError?

  /// Begins at the present ends.
  init(_ bus: EmbeddedBus, _ lines: EventLines) {
    self.bus = bus
    self.lines = lines
    let count = bus.partitionCount(of: .bench)
    isPolling = [Bool](repeating: false, count: count)
    for partition in 0..<count {
      positions.append(bus.endOffset(of: TopicPartition(.bench, partition)))
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
    guard !isPolling[partition], failure == nil else { return }
    isPolling[partition] = true
    let request = PollRequest(
      TopicPartition(.bench, partition), from: .offset(positions[partition]), countMax: 10_000,
      bytesMax: 1 << 20)
    bus.poll(request) { [weak self] in self?.polled(partition, $0) }
  }

  private func polled(_ partition: Int, _ result: Result<PollResult, BusError>) {
    isPolling[partition] = false
    switch result {
    case .failure(let error):
      failure = error
      onIdle()
    case .success(let result):
      guard let first = result.records.first else { return onIdle() }
      lines.write { line in
        line.member("partition", partition)
        line.member("offset", first.offset)
        line.member("count", result.records.count)
      }
      positions[partition] = first.offset + UInt64(result.records.count)
      poll(partition)
    }
  }
}
