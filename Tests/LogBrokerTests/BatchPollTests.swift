// Contract: a poll for batches gives the bytes that are stored, in memory, out of buffers and out of
// the page cache alike; what is held stays as it is whatever becomes of its file; damage is named and
// never handed out; below the first record there is an error that names it.

import Base
import Events
import Iggy
import LogBroker
import TestSupport
import Testing
import UringIO

@Suite struct BatchPollTests {
  private let target = TopicPartition(.audit, 0)

  /// How batches stand on the disk.
  enum Form: CaseIterable, Sendable { case plain, encrypted, packed }

  private func open(
    _ directory: TemporaryDirectory, _ loop: EventLoop, _ form: Form = .plain
  ) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: RingStorage(root: directory.path, loop: loop), loop: loop,
      logger: BusFixtures.logger(), dataDirectory: directory.path)
    options.limits.segmentBytesMax = 64 << 10
    options.limits.directBytesMin = 8 << 10
    options.limits.flushBytes = 2 << 10
    options.limits.packBytesMin = 1 << 10
    if form == .encrypted { options.key = LogKey(String(repeating: "5a", count: LogKey.length)) }
    if form == .packed {
      var settings = TopicSettings()
      settings.compression = .zstd
      options.topics = [.audit: settings]
    }
    return try EmbeddedBus.open(options)
  }

  /// Batches of one to twenty records: some are written directly, some by way of the journal.
  private func append(
    _ bus: EmbeddedBus, _ harness: LoopHarness, _ numbers: Range<Int>
  ) throws {
    var at = numbers.lowerBound
    while at < numbers.upperBound {
      let end = min(at + 1 + at % 20, numbers.upperBound)
      let records = (at..<end).map { BusFixtures.record($0, bytes: 900) }
      var result: Result<[UInt64], BusError>?
      bus.append([PartitionBatch(target, records)]) { result = $0 }
      #expect(harness.until { result != nil })
      #expect(try #require(result).get() == [UInt64(at)])
      at = end
    }
  }

  private func poll(
    _ reader: PartitionReader, _ harness: LoopHarness, _ offset: UInt64, bytes: Int = 20_000
  ) throws -> Result<PolledBatches, BusError> {
    var result: Result<PolledBatches, BusError>?
    reader.pollBatches(from: offset, bytesMax: bytes) { result = $0 }
    #expect(result == nil, "a completion ran inside the call")
    #expect(harness.until { result != nil })
    return try #require(result)
  }

  /// Holds every message against what was appended; returns the offset after the last.
  private func check(_ polled: PolledBatches, from offset: UInt64) throws -> UInt64 {
    var next = offset
    for batch in polled.batches {
      let view = try BatchView(batch.bytes)
      try view.validate()
      #expect(batch.first == next)
      var last: UInt64 = 0
      try view.forEach { message in
        last = message.offset
        let payload = view.bytes[message.payload]
        let expected = BusFixtures.record(Int(message.offset), bytes: 900).payload
        if !payload.elementsEqual(expected) { Issue.record("other bytes at \(message.offset)") }
        return true
      }
      next = last + 1
      #expect(batch.end == next)
    }
    return next
  }

  private func readAll(
    _ reader: PartitionReader, _ harness: LoopHarness, from start: UInt64, to end: UInt64
  ) throws {
    var at = start
    while at < end {
      let next = try check(try poll(reader, harness, at).get(), from: at)
      guard next > at else {
        Issue.record("nothing at \(at)")
        return
      }
      at = next
    }
    #expect(at == end)
  }

  private func close(_ bus: EmbeddedBus, _ harness: LoopHarness) {
    var isClosed = false
    bus.close { isClosed = true }
    #expect(harness.until { isClosed })
  }

  @Test(arguments: Form.allCases) func everyBatchComesAsItIsStored(form: Form) throws {
    let directory = try TemporaryDirectory()
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop, form)
      try append(bus, harness, 0..<600)
      let reader = bus.makeReader(of: target)
      // Twice: what has been compared with its checksums is not compared again.
      for start in [0, 0, 1, 250, 590] as [UInt64] {
        try readAll(reader, harness, from: start, to: 600)
      }
      #expect(try poll(reader, harness, 600).get().batches.isEmpty)
      #expect(try poll(reader, harness, 600).get().endOffset == 600)
      close(bus, harness)
    }
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop, form)
      if form == .packed { #expect(harness.until { bus.metrics.packedSegments.value > 3 }) }
      try readAll(bus.makeReader(of: target), harness, from: 133, to: 600)
      close(bus, harness)
    }
  }

  @Test func whatIsHeldStaysWhenItsFileIsUsedAgain() throws {
    let directory = try TemporaryDirectory()
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      try append(bus, harness, 0..<300)
      let reader = bus.makeReader(of: target)
      var held = try poll(reader, harness, 0).get()
      #expect(reader.leasedBytes > 0)
      var first: UInt64?
      bus.deleteRecords(of: target, upTo: 250) { first = try? $0.get() }
      #expect(harness.until { first == 250 })
      #expect(harness.until { bus.metrics.deletedBytes.value > 0 })
      try append(bus, harness, 300..<900)
      #expect(try check(held, from: 0) > 0)
      guard case .failure(.belowStart(let start)) = try poll(reader, harness, 249) else {
        Issue.record("a record that was deleted was not refused")
        return
      }
      #expect(start == 250)
      held.batches = []
      #expect(reader.leasedBytes == 0)
      try readAll(reader, harness, from: 250, to: 900)
      close(bus, harness)
    }
  }

  @Test func damageIsNamed() throws {
    let loop = SimulatedLoop(seed: 3)
    let disk = SimulatedDisk(loop: loop, seed: 3)
    func open() throws -> EmbeddedBus {
      var options = EmbeddedBusOptions(
        storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
      options.limits = BusWorkload.limits
      return try EmbeddedBus.open(options)
    }
    func poll(_ bus: EmbeddedBus, _ offset: UInt64) -> Result<PolledBatches, BusError>? {
      var result: Result<PolledBatches, BusError>?
      bus.makeReader(of: target).pollBatches(from: offset, bytesMax: 1) { result = $0 }
      loop.settle()
      return result
    }
    var bus = try open()
    for number in 0..<40 {
      bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: 900)])]) { _ in }
      loop.settle()
    }
    bus.close {}
    loop.settle()
    let paths = disk.paths.filter { $0.hasPrefix("log/agent/agent.audit/0/") }
    let path = try #require(paths.first)
    disk.flip(path, byte: 5_000, bit: 3)
    bus = try open()
    #expect(try poll(bus, 0)?.get().batches.first?.end == 1)
    guard case .failure(.damaged)? = poll(bus, 1) else {
      Issue.record("a damaged batch was handed out")
      return
    }
    #expect(try poll(bus, 39)?.get().batches.first?.end == 40)
  }
}
