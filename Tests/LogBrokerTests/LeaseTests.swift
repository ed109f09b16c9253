// Contract: what a poll gave stays as it was while it is held, also when its segment is deleted and
// the file used again; a reader that holds too much, or holds it for too long, is refused until it
// lets go; a deleted record is answered with the first offset there is, never with other bytes.

import Base
import Events
import LogBroker
import TestSupport
import Testing

@Suite struct LeaseTests {
  private let loop = SimulatedLoop(seed: 5)
  private let disk: SimulatedDisk
  private let target = TopicPartition(.audit, 0)

  init() { disk = SimulatedDisk(loop: loop, seed: 5) }

  private func open() throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits = BusWorkload.limits
    return try EmbeddedBus.open(options)
  }

  private func append(_ bus: EmbeddedBus, _ numbers: Range<Int>, bytes: Int) {
    for number in numbers {
      bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: bytes)])]) { _ in }
    }
    loop.settle()
  }

  private func poll(
    _ reader: PartitionReader, _ offset: UInt64, count: Int = 50
  ) -> Result<PollResult, BusError>? {
    var result: Result<PollResult, BusError>?
    reader.poll(from: .offset(offset), countMax: count, bytesMax: 1 << 20) { result = $0 }
    loop.settle()
    return result
  }

  private func isIntact(_ record: PolledRecord) -> Bool {
    let number = BusFixtures.number(record)
    return number == Int(record.offset)
      && String(decoding: record.payloadBytes, as: UTF8.self).hasPrefix("{\"n\":\(number)}")
  }

  /// Reads while everything behind is deleted and the files are used again.
  @Test func nothingIsReadAfterItIsDeleted() throws {
    let bus = try open()
    let reader = bus.makeReader(of: target)
    let random = SeededRandom(seed: 9)
    var held: [PolledRecord] = []
    var reads = 0
    var refused = 0
    let rounds = TestScale.seeds(slice: 400)
    for round in 0..<rounds {
      append(bus, round * 10..<round * 10 + 10, bytes: 400)
      let end = bus.endOffset(of: target)
      // Polls, deletions and the checkpoints that remove files in any order.
      for _ in 0..<12 {
        let offset = end - min(end, 1 + random.next(below: 220))
        reader.poll(from: .offset(offset), countMax: 40, bytesMax: 1 << 20) { result in
          switch result {
          case .success(let page):
            if page.records.isEmpty { Issue.record("nothing at \(offset)") }
            reads += page.records.count
            if page.records.contains(where: { !isIntact($0) }) { Issue.record("other bytes") }
            held += page.records.prefix(2)
          case .failure(.belowStart(let first)):
            refused += 1
            #expect(offset < first)
          case .failure(let error): Issue.record("\(error)")
          }
        }
        for _ in 0..<random.next(below: 4) { loop.turn() }
      }
      let cut = end - min(end, 60 + random.next(below: 100))
      bus.deleteRecords(of: target, upTo: cut) { _ in }
      for _ in 0..<random.next(below: 30) { loop.turn() }
      if held.contains(where: { !isIntact($0) }) { Issue.record("held bytes changed") }
      if held.count > 100 { held.removeFirst(60) }
    }
    loop.settle()
    #expect(reads > 20 * rounds && refused > rounds, "\(reads) reads, \(refused) refused")
    #expect(bus.metrics.deletedRecords.value > 9 * rounds - 500)
    #expect(disk.paths.contains { $0.hasPrefix("log/recycled/") })
    let segments = disk.paths.filter { $0.hasPrefix("log/agent/agent.audit/") }
    #expect(segments.count < 12, "files of deleted segments are gone")
    held = []
    #expect(reader.leasedBytes == 0)
  }

  @Test func holdingTooLongIsRefused() throws {
    let bus = try open()
    let reader = bus.makeReader(of: target)
    append(bus, 0..<20, bytes: 400)
    var held = try poll(reader, 0)?.get().records ?? []
    #expect(held.count > 1 && reader.leasedBytes > 0)
    loop.manualClock.advance(LogLimits.leaseTimeMax + .seconds(1))
    guard case .failure(.leaseExceeded)? = poll(reader, 5) else {
      Issue.record("not refused")
      return
    }
    #expect(bus.metrics.leasesExceeded.value == 1)
    #expect(held.allSatisfy(isIntact), "what is held stays")
    // Others are not concerned.
    #expect(try poll(bus.makeReader(of: target), 5)?.get().records.isEmpty == false)
    held = []
    #expect(try poll(reader, 5)?.get().records.isEmpty == false)
  }

  @Test func holdingTooMuchIsRefused() throws {
    let bus = try open()
    let reader = bus.makeReader(of: target)
    append(bus, 0..<200, bytes: 400)
    var held: [PolledRecord] = []
    var refusal: BusError?
    for _ in 0..<200 where refusal == nil {
      switch poll(reader, 0, count: 2) {
      case .success(let page)?: held += page.records
      case .failure(let error)?: refusal = error
      case nil: break
      }
    }
    guard case .leaseExceeded? = refusal else {
      Issue.record("\(reader.leasedBytes) bytes held")
      return
    }
    #expect(reader.leasedBytes <= LogLimits.leaseBytesMax + LogLimits.readBytes)
    held = []
    #expect(try poll(reader, 0)?.get().records.isEmpty == false)
  }
}
