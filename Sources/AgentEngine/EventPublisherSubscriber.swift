package import Base
package import Events

/// The engine's way to the bus: makes ids, and reads a partition from an offset to its end.
package final class EventPublisherSubscriber {
  package let bus: any MessageBus
  package let clock: any Clock
  private let random: any RandomSource

  package init(bus: any MessageBus, clock: any Clock, random: any RandomSource) {
    self.bus = bus
    self.clock = clock
    self.random = random
  }

  package func makeID() -> ULID { ULID(time: clock.wall(), randomness: random.next128()) }

  /// A turn id whose lowest 16 bits tell its session's partition (SEMANTICS D26).
  package func makeTurnID(session: String) -> ULID {
    let id = makeID()
    return ULID(value: id.value & ~0xFFFF | UInt128(xxh32(session) & 0xFFFF))
  }

  package func makeClaim() -> UInt128 { random.next128() }

  /// 32 hexadecimal digits for what no client's trace is behind.
  package func makeTraceID() -> String { Hex.encode(random.next128()) }

  /// Hands every record from `offset` to the partition's end to `body`, in order; stops early when
  /// `body` returns false. `completion` gets the offset after the last record that was handed on.
  package func readAll(
    _ target: TopicPartition, from offset: UInt64, _ body: @escaping (PolledRecord) -> Bool,
    completion: @escaping (Result<UInt64, BusError>) -> Void
  ) {
    let request = PollRequest(
      target, from: .offset(offset), countMax: EngineLimits.pollCount,
      bytesMax: EngineLimits.pollBytes)
    bus.poll(request) { [self] result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let page):
        var next = offset
        for record in page.records {
          next = record.offset + 1
          guard body(record) else { return completion(.success(next)) }
        }
        guard !page.records.isEmpty, next < page.endOffset else {
          return completion(.success(max(next, offset)))
        }
        readAll(target, from: next, body, completion: completion)
      }
    }
  }

  /// The one record at `offset`; nil when it is not there.
  package func read(
    _ target: TopicPartition, at offset: UInt64,
    completion: @escaping (Result<PolledRecord?, BusError>) -> Void
  ) {
    bus.poll(PollRequest(target, from: .offset(offset), countMax: 1, bytesMax: 1)) { result in
      completion(result.map { page in page.records.first { $0.offset == offset } })
    }
  }
}
