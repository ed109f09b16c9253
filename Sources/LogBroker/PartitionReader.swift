import Base
package import Events

/// Reads one partition for one consumer. What a poll gives is leased: it stays as it is while
/// somebody holds it, whatever becomes of the segment's file meanwhile. A consumer that holds too
/// much (`LogLimits.leaseBytesMax`), or something for too long (`LogLimits.leaseTimeMax`), gets
/// `leaseExceeded` from its next poll until it has let go.
package final class PartitionReader {
  package let target: TopicPartition
  private let bus: EmbeddedBus
  private let clock: any Clock
  private let metrics: LogMetrics
  private let ledger = LeaseLedger()

  init(_ bus: EmbeddedBus, _ target: TopicPartition, clock: any Clock, metrics: LogMetrics) {
    self.bus = bus
    self.target = target
    self.clock = clock
    self.metrics = metrics
  }

  /// Bytes of records that are held.
  package var leasedBytes: Int { ledger.bytes }

  /// As `MessageBus.poll`.
  package func poll(
    from start: PollStart, countMax: Int, bytesMax: Int,
    completion: @escaping (Result<PollResult, BusError>) -> Void
  ) {
    var request = PollRequest(target, from: start, countMax: countMax, bytesMax: bytesMax)
    if let refusal {
      metrics.leasesExceeded.add()
      // Asks for nothing, to be answered in the bus' own time.
      request.countMax = 0
      return bus.poll(request) { _ in completion(.failure(refusal)) }
    }
    bus.poll(request) { [self] result in
      completion(
        result.map {
          var result = $0
          lease(&result.records)
          return result
        })
    }
  }

  /// The batches from `offset` on, as they are stored: about `bytesMax` bytes, at least one where
  /// there is one. The first may begin before `offset`.
  package func pollBatches(
    from offset: UInt64, bytesMax: Int,
    completion: @escaping (Result<PolledBatches, BusError>) -> Void
  ) {
    if let refusal {
      metrics.leasesExceeded.add()
      let request = PollRequest(target, from: .first, countMax: 0, bytesMax: 0)
      return bus.poll(request) { _ in completion(.failure(refusal)) }
    }
    bus.pollBatches(target, from: offset, bytesMax: bytesMax) { [self] result in
      completion(
        result.map {
          var result = $0
          lease(&result.batches)
          return result
        })
    }
  }

  private var refusal: BusError? {
    if ledger.bytes > LogLimits.leaseBytesMax {
      return .leaseExceeded("\(ledger.bytes) bytes of records are held")
    }
    guard let oldest = ledger.oldest else { return nil }
    let held = clock.monotonic() - oldest
    if held <= LogLimits.leaseTimeMax { return nil }
    return .leaseExceeded("records have been held for \(held.milliseconds) ms")
  }

  /// Counts every piece of memory that `items` are in until it is let go.
  private func lease<Item: InSharedBytes>(_ items: inout [Item]) {
    var source: SharedBytes?
    var leased: SharedBytes?
    let now = clock.monotonic()
    for index in items.indices {
      let held = items[index].storage
      if source !== held {
        source = held
        leased = ledger.lease(held, at: now)
      }
      items[index].storage = leased!
    }
  }
}

private protocol InSharedBytes {
  var storage: SharedBytes { get set }
}

extension PolledRecord: InSharedBytes {}
extension PolledBatch: InSharedBytes {}

/// What a reader holds, in the order it got it.
private final class LeaseLedger {
  private(set) var bytes = 0
  private var begun: [UInt64: Nanoseconds] = [:]
  private var next: UInt64 = 0
  /// The lowest number that may still be held.
  private var low: UInt64 = 0

  /// When the oldest piece was handed out; nil while nothing is held.
  var oldest: Nanoseconds? {
    while low < next {
      if let time = begun[low] { return time }
      low += 1
    }
    return nil
  }

  func lease(_ storage: SharedBytes, at now: Nanoseconds) -> SharedBytes {
    let number = next
    let count = storage.bytes.count
    next += 1
    begun[number] = now
    bytes += count
    return SharedBytes(storage.bytes) { [self] _ in
      withExtendedLifetime(storage) {}
      begun[number] = nil
      bytes -= count
    }
  }
}
