// Contract: the promises of `MessageBus` at their edges: what is refused and how, what a watch
// tells, when a record can be seen, that a commit is shared, and that a stored batch is an Iggy
// batch as it stands.

import Base
import Events
import Iggy
import LogBroker
import Testing

@Suite struct EmbeddedBusTests {
  private let loop = SimulatedLoop(seed: 1)
  private let disk: SimulatedDisk
  private let target = TopicPartition(.journal, 1)

  init() { disk = SimulatedDisk(loop: loop, seed: 1) }

  private func open(_ change: (inout EmbeddedBusOptions) -> Void = { _ in }) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    change(&options)
    return try EmbeddedBus.open(options)
  }

  private func append(_ bus: EmbeddedBus, _ batches: [PartitionBatch]) -> Result<
    [UInt64], BusError
  >? {
    var result: Result<[UInt64], BusError>?
    bus.append(batches) { result = $0 }
    loop.settle()
    return result
  }

  private func poll(_ bus: EmbeddedBus, _ request: PollRequest) -> Result<PollResult, BusError>? {
    var result: Result<PollResult, BusError>?
    bus.poll(request) { result = $0 }
    loop.settle()
    return result
  }

  @Test func partitionCountsAreTheCatalogs() throws {
    let bus = try open()
    #expect(bus.partitionCount == 2)
    for topic in Topic.allCases {
      #expect(bus.partitionCount(of: topic) == (topic.isSessionKeyed ? 2 : 1))
    }
    #expect(bus.status().map(\.topic) == Topic.allCases)
  }

  @Test func unknownPartitionsAreRefused() throws {
    let bus = try open()
    for partition in [-1, 2, Int.max] {
      let unknown = TopicPartition(.journal, partition)
      let batch = PartitionBatch(unknown, [BusFixtures.record(1)])
      #expect(append(bus, [batch]) == .failure(.unknownPartition))
      let result = poll(bus, PollRequest(unknown, from: .first, countMax: 1, bytesMax: 1))
      guard case .failure(.unknownPartition)? = result else {
        Issue.record("\(result as Any)")
        return
      }
      var stored: Result<Void, BusError>?
      bus.storeOffset(1, group: "g", of: unknown) { stored = $0 }
      loop.settle()
      guard case .failure(.unknownPartition)? = stored else {
        Issue.record("\(stored as Any)")
        return
      }
      #expect(bus.endOffset(of: unknown) == 0)
    }
  }

  @Test func recordsHaveALimit() throws {
    let bus = try open()
    let limit = LogLimits.recordBytesMax
    let largest = PartitionBatch(target, [BusFixtures.record(1, bytes: limit)])
    #expect(append(bus, [largest]) == .success([0]))
    let tooLarge = PartitionBatch(target, [BusFixtures.record(2, bytes: limit + 1)])
    #expect(append(bus, [tooLarge]) == .failure(.recordTooLarge(limit: limit)))
    // One append is one commit group, in one journal file.
    let many = append(bus, [largest, largest])
    guard case .failure(.recordTooLarge)? = many else {
      Issue.record("\(many as Any)")
      return
    }
    let result = try poll(bus, PollRequest(target, from: .last, countMax: 1, bytesMax: 1))?.get()
    #expect(result?.records.first?.payloadBytes.count == limit)
  }

  @Test func emptyAppendsAreAnswered() throws {
    let bus = try open()
    #expect(append(bus, []) == .success([]))
    #expect(append(bus, [PartitionBatch(target, [])]) == .success([0]))
    let mixed = [
      PartitionBatch(target, [BusFixtures.record(1)]), PartitionBatch(target, []),
      PartitionBatch(target, [BusFixtures.record(2)]),
    ]
    #expect(append(bus, mixed) == .success([0, 1, 1]))
  }

  /// Nothing is readable, and no watch called, before the sync that covers it.
  @Test func recordsAreSeenOnlyOnceDurable() throws {
    let bus = try open()
    var woken = 0
    let watch = bus.watch(target) { woken += 1 }
    var isAcknowledged = false
    bus.append([PartitionBatch(target, [BusFixtures.record(1)])]) { _ in isAcknowledged = true }
    while !isAcknowledged {
      #expect(bus.endOffset(of: target) == 0 && woken == 0)
      loop.turn()
    }
    #expect(bus.endOffset(of: target) == 1 && woken == 1)
    _ = append(bus, [PartitionBatch(.init(.audit, 0), [BusFixtures.record(2)])])
    #expect(woken == 1, "a watch is told of its own partition only")
    watch.cancel()
    _ = append(bus, [PartitionBatch(target, [BusFixtures.record(3)])])
    #expect(woken == 1)
  }

  @Test func appendsOfOneTurnShareACommit() throws {
    let bus = try open()
    let before = bus.metrics.commits.value
    var order: [Int] = []
    for number in 0..<50 {
      bus.append([PartitionBatch(target, [BusFixtures.record(number)])]) {
        if $0 == .success([UInt64(number)]) { order.append(number) }
      }
    }
    loop.settle()
    #expect(order == Array(0..<50))
    #expect(bus.metrics.commits.value == before + 1)
  }

  @Test func groupsOffsetsNeverGoBack() throws {
    let bus = try open()
    for offset: UInt64 in [5, 3, 9, 1] { bus.storeOffset(offset, group: "g", of: target) { _ in } }
    loop.settle()
    #expect(bus.storedOffset(group: "g", of: target) == 9)
    #expect(bus.storedOffset(group: "h", of: target) == nil)
    #expect(bus.storedOffset(group: "g", of: TopicPartition(.journal, 0)) == nil)
    bus.close {}
    loop.settle()
    let again = try open()
    #expect(again.storedOffset(group: "g", of: target) == 9)
  }

  /// What was on its way when a sync failed may be found by the next start; what comes later not.
  @Test(arguments: [false, true]) func aFailedSyncLeavesTheOutcomeOpen(isDirect: Bool) throws {
    let bus = try open()
    _ = append(bus, [PartitionBatch(target, [BusFixtures.record(1)])])
    for call in 0..<40 { disk.faults[disk.calls + call] = .syncError }
    let records = (0..<(isDirect ? 200 : 1)).map { BusFixtures.record(2 + $0, bytes: 1_000) }
    let under = append(bus, [PartitionBatch(target, records)])
    guard case .failure(.unconfirmed)? = under else {
      Issue.record("\(under as Any)")
      return
    }
    let next = append(bus, [PartitionBatch(target, [BusFixtures.record(300)])])
    guard case .failure(.unavailable)? = next else {
      Issue.record("\(next as Any)")
      return
    }
  }

  @Test func aClosedLogRefuses() throws {
    let bus = try open()
    var isClosed = false
    bus.close { isClosed = true }
    loop.settle()
    #expect(isClosed)
    let result = append(bus, [PartitionBatch(target, [BusFixtures.record(1)])])
    guard case .failure(.unavailable)? = result else {
      Issue.record("\(result as Any)")
      return
    }
  }

  @Test func aStoredBatchIsAnIggyBatch() throws {
    let bus = try open()
    let record = BusFixtures.record(7)
    _ = append(bus, [PartitionBatch(target, [record, BusFixtures.record(8)])])
    let journal = disk.content(of: "log/journal-0-a.wal")
    try journal.withUnsafeBytes { journal in
      let body = journal.slice(LogLimits.blockBytes + 64..<journal.count)
      let batch = try BatchView(body)
      try batch.validate()
      #expect(batch.header.partitionID == 1 && batch.header.baseOffset == 0)
      #expect(batch.header.messageCount == 2)
      var cursor = BatchView.Cursor(batch)
      let message = try #require(try cursor.next())
      #expect(message.header.id == record.eventID.value)
      #expect(body.slice(message.payload).elementsEqual(record.payload))
    }
  }
}
