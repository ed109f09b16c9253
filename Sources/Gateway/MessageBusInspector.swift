package import Base
package import Events

/// What the inspector needs to know beside the bus.
package struct BusInspectorOptions {
  /// What an acknowledgement means, by topic.
  package var durability: (Topic) -> String = { _ in "persisted" }
  /// Retention as configured.
  package var retention: (Topic) -> Nanoseconds = { $0.retention }
  /// Consumer groups and the topics they read.
  package var groups: [(name: String, topics: [Topic])] = [("engine", [.turnsRequests])]
  package var decodeHeaders: HeaderDecoder

  package init(decodeHeaders: @escaping HeaderDecoder) { self.decodeHeaders = decodeHeaders }
}

/// The inspector of any `MessageBus`.
package final class MessageBusInspector: BusInspector {
  private let bus: any MessageBus
  private let clock: any Clock
  private let options: BusInspectorOptions

  package init(bus: any MessageBus, clock: any Clock, options: BusInspectorOptions) {
    self.bus = bus
    self.clock = clock
    self.options = options
  }

  package func topics() -> [TopicRow] {
    bus.status().map { status in
      TopicRow(
        topic: status.topic, partitions: status.partitions, messages: status.messages,
        bytes: status.bytes, retention: options.retention(status.topic),
        durability: options.durability(status.topic))
    }
  }

  package func tail(_ request: TailRequest, _ events: TailEvents) -> any TailHandle {
    let tail = TopicTail(
      bus: bus, request: request, decodeHeaders: options.decodeHeaders, events: events)
    tail.begin()
    return tail
  }

  package func lag(completion: @escaping (Result<[LagRow], Problem>) -> Void) {
    var rows: [LagRow] = []
    for group in options.groups {
      for topic in group.topics {
        for partition in 0..<bus.partitionCount(of: topic) {
          let target = TopicPartition(topic, partition)
          let next = next(group.name, target)
          let behind = bus.endOffset(of: target).subtractingReportingOverflow(next)
          rows.append(
            LagRow(
              group: group.name, target: target,
              messages: behind.overflow ? 0 : Int(clamping: behind.partialValue), age: .zero))
        }
      }
    }
    LagAges(bus: bus, clock: clock, rows: rows, completion: completion)
      .measure { self.next($0.group, $0.target) }
  }

  /// The offset that the group consumes next.
  private func next(_ group: String, _ target: TopicPartition) -> UInt64 {
    bus.storedOffset(group: group, of: target).map { $0 + 1 } ?? 0
  }
}

/// Asks for the oldest record that is not consumed, of each partition that has one.
private final class LagAges {
  private let bus: any MessageBus
  private let clock: any Clock
  private var rows: [LagRow]
  private var waiting = 0
  private let completion: (Result<[LagRow], Problem>) -> Void

  init(
    bus: any MessageBus, clock: any Clock, rows: [LagRow],
    completion: @escaping (Result<[LagRow], Problem>) -> Void
  ) {
    self.bus = bus
    self.clock = clock
    self.rows = rows
    self.completion = completion
  }

  func measure(next: (LagRow) -> UInt64) {
    let behind = rows.indices.filter { rows[$0].messages > 0 }
    guard !behind.isEmpty else { return completion(.success(rows)) }
    waiting = behind.count
    for index in behind {
      let request = PollRequest(
        rows[index].target, from: .offset(next(rows[index])), countMax: 1, bytesMax: 1)
      bus.poll(request) { self.polled(index, $0) }
    }
  }

  /// A partition that cannot be read keeps the age 0: its own health check says what is wrong.
  private func polled(_ index: Int, _ result: Result<PollResult, BusError>) {
    if case .success(let result) = result, let record = result.records.first {
      let microseconds = clock.wall().microseconds - record.appendTime.microseconds
      rows[index].age = Nanoseconds(max(0, microseconds) * 1_000)
    }
    waiting -= 1
    if waiting == 0 { completion(.success(rows)) }
  }
}

extension BusError {
  /// What a request that needed the bus is told.
  package var problem: Problem {
    switch self {
    case .diskFull: Problem(.diskFull, "the data directory's disk is full; make room")
    case .unavailable(let why), .unconfirmed(let why):
      Problem(.busUnavailable, "the bus does not serve: \(why)")
    case .recordTooLarge(let limit):
      Problem(.bodyTooLarge, "the record is larger than the bus takes: \(limit) bytes")
    case .unknownPartition: Problem(.internal, "there is no such partition")
    case .leaseExceeded(let why): Problem(.overloaded, "records are read too slowly: \(why)")
    case .belowStart(let first):
      Problem(.fieldInvalid, "these records are no longer kept; the first one is \(first)")
    case .damaged(let what):
      Problem(.busUnavailable, "a partition is damaged: \(what); see `kfm log verify`")
    }
  }
}
