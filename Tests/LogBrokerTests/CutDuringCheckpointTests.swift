// Contract: records that are taken away while a checkpoint is being made, and a kill at any moment
// after that, cost nothing that was acknowledged and not taken away, and no offset is given twice.

import Base
import Events
import LogBroker
import Testing

@Suite struct CutDuringCheckpointTests {
  private static let target = TopicPartition(.journal, 1)

  private func open(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws -> EmbeddedBus {
    var options = BusFixtures.directOptions(disk, loop, segmentBlocks: 2)
    options.limits.directCheckpointBytes = 6 * LogLimits.blockBytes
    return try EmbeddedBus.open(options)
  }

  /// The offset after the last acknowledged record, and the first that was not taken away.
  private struct Promise {
    var end: UInt64 = 0
    var first: UInt64 = 0
  }

  private func live(
    _ disk: SimulatedDisk, _ loop: SimulatedLoop, _ random: SeededRandom, _ promise: inout Promise
  ) throws {
    let bus = try open(disk, loop)
    let first = bus.firstOffset(of: Self.target)
    #expect(bus.endOffset(of: Self.target) >= promise.end, "acknowledged records are gone")
    #expect(first <= promise.first || first <= promise.end)
    expectReadable(bus, loop, from: max(first, promise.first), to: promise.end)
    var end = promise.end
    for _ in 0..<30 {
      let number = Int(bus.endOffset(of: Self.target))
      let batch = PartitionBatch(Self.target, [BusFixtures.record(number, bytes: 3_000)])
      bus.append([batch]) { if case .success(let firsts) = $0 { end = max(end, firsts[0] + 1) } }
      if random.next(below: 3) == 0 {
        let cut = bus.endOffset(of: Self.target)
        promise.first = max(promise.first, cut)
        bus.deleteRecords(of: Self.target, upTo: cut) { _ in }
      }
      for _ in 0..<random.next(below: 12) { loop.turn() }
    }
    promise.end = end
    loop.forgetEverything()
  }

  private func expectReadable(
    _ bus: EmbeddedBus, _ loop: SimulatedLoop, from first: UInt64, to end: UInt64
  ) {
    var at = first
    while at < end {
      var result: Result<PollResult, BusError>?
      bus.poll(PollRequest(Self.target, from: .offset(at), countMax: 9, bytesMax: 1 << 20)) {
        result = $0
      }
      loop.settle()
      guard case .success(let page) = result, let last = page.records.last else {
        Issue.record("reading ends at \(at) of \(end): \(result as Any)")
        return
      }
      at = last.offset + 1
    }
  }

  @Test(arguments: 0..<60) func nothingElseIsLost(seed: Int) throws {
    let random = SeededRandom(seed: UInt64(seed))
    var loop = SimulatedLoop(seed: UInt64(seed))
    var disk = SimulatedDisk(loop: loop, seed: UInt64(seed))
    var promise = Promise()
    for life in 0..<4 {
      try live(disk, loop, random, &promise)
      disk.abandon()
      loop = SimulatedLoop(seed: UInt64(seed * 10 + life))
      disk = disk.afterKill(loop: loop)
    }
  }
}
