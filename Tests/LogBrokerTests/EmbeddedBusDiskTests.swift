// Contract: on a real disk and a real loop, what was acknowledged is read back, now and after the
// directory is opened again; a directory has one owner. (Power loss cannot be had here: see the
// simulated storage.)

import Base
import Events
import Glibc
import LogBroker
import TestSupport
import Testing
import UringIO

@Suite struct EmbeddedBusDiskTests {
  private func open(
    _ directory: TemporaryDirectory, _ loop: EventLoop, partitions: Int = 16,
    limits: LogLimits = LogLimits()
  ) throws -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: RingStorage(root: directory.path, loop: loop), loop: loop,
      logger: BusFixtures.logger(), dataDirectory: directory.path)
    options.partitions = partitions
    options.limits = limits
    return try EmbeddedBus.open(options)
  }

  private func append(
    _ bus: EmbeddedBus, _ harness: LoopHarness, _ batches: [PartitionBatch]
  ) throws -> [UInt64] {
    var result: Result<[UInt64], BusError>?
    bus.append(batches) { result = $0 }
    #expect(result == nil, "a completion ran inside the call")
    #expect(harness.until { result != nil })
    return try #require(result).get()
  }

  private func poll(
    _ bus: EmbeddedBus, _ harness: LoopHarness, _ request: PollRequest
  ) throws -> PollResult {
    var result: Result<PollResult, BusError>?
    bus.poll(request) { result = $0 }
    #expect(harness.until { result != nil })
    return try #require(result).get()
  }

  private func close(_ bus: EmbeddedBus, _ harness: LoopHarness) {
    var isClosed = false
    bus.close { isClosed = true }
    #expect(harness.until { isClosed })
  }

  @Test func whatIsAcknowledgedIsReadBack() throws {
    let directory = try TemporaryDirectory()
    let target = TopicPartition(.turnsRequests, 3)
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      var woken = 0
      let watch = bus.watch(target) { woken += 1 }
      let firsts = try append(
        bus, harness,
        [
          PartitionBatch(target, [BusFixtures.record(0), BusFixtures.record(1)]),
          PartitionBatch(TopicPartition(.journal, 9), [BusFixtures.record(7)]),
          PartitionBatch(target, [BusFixtures.record(2)]),
        ])
      #expect(firsts == [0, 0, 2])
      #expect(woken == 1)
      watch.cancel()
      let result = try poll(
        bus, harness, PollRequest(target, from: .offset(1), countMax: 10, bytesMax: 1 << 20))
      #expect(result.records.map(\.offset) == [1, 2])
      #expect(result.endOffset == 3)
      #expect(result.records[0].header("type") == "TestEvent.v1")
      #expect(result.records[0].header("event_id") == BusFixtures.record(1).eventID.description)
      #expect(result.records[0].payloadBytes.elementsEqual(BusFixtures.record(1).payload))
      #expect(woken == 1)
    }
    // The loop ended without a clean close, as a process that is killed.
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      #expect(bus.endOffset(of: target) == 3)
      let result = try poll(
        bus, harness, PollRequest(target, from: .last, countMax: 2, bytesMax: 1 << 20))
      #expect(result.records.map(BusFixtures.number) == [1, 2])
      close(bus, harness)
    }
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      let result = try poll(
        bus, harness, PollRequest(target, from: .first, countMax: 9, bytesMax: 1 << 20))
      #expect(result.records.map(BusFixtures.number) == [0, 1, 2])
      #expect(try append(bus, harness, [PartitionBatch(target, [BusFixtures.record(3)])]) == [3])
    }
  }

  @Test func aDirectoryHasOneOwner() throws {
    let directory = try TemporaryDirectory()
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      #expect(throws: LogBrokerError.locked(path: directory.path)) {
        try open(directory, harness.loop)
      }
      close(bus, harness)
      #expect(throws: LogBrokerError.partitionCountDiffers(configured: 8, stored: 16)) {
        try open(directory, harness.loop, partitions: 8)
      }
      let again = try open(directory, harness.loop)
      close(again, harness)
    }
  }

  /// Beside the appends, both of them, and what stands behind the former end is found again.
  @Test(arguments: IOKind.allCases) func journalsOfManyPartitionsBecomeLarger(io: IOKind) throws {
    let directory = try TemporaryDirectory()
    var limits = LogLimits()
    limits.journalBytes = 256 << 10
    limits.groupBytesMax = 64 << 10
    limits.manyPartitions = 2
    // Two pieces and a part of one.
    limits.journalBytesOfMany = limits.journalBytes + 2 * LogLimits.journalPieceBytes + 4_096
    let targets = (0..<3).map { TopicPartition(.turnsRequests, $0) }
    func sizes() throws -> [Int] {
      try (0..<2).map { index in
        var status = stat()
        let path = "\(directory.path)/log/journal-0-\(index == 0 ? "a" : "b").wal"
        try #require(stat(path, &status) == 0)
        return Int(status.st_size)
      }
    }
    var count = 0
    try LoopHarness.run(io) { harness in
      let bus = try open(directory, harness.loop, limits: limits)
      _ = try append(bus, harness, [PartitionBatch(targets[0], [BusFixtures.record(0)])])
      _ = try append(bus, harness, [PartitionBatch(targets[1], [BusFixtures.record(0)])])
      #expect(try sizes() == [limits.journalBytes, limits.journalBytes])
      // Each fills half a journal as it was: the last ones stand behind where it ended.
      let records = (0..<100).map { BusFixtures.record($0) }
      while try sizes() != [limits.journalBytesOfMany, limits.journalBytesOfMany] || count < 2_000 {
        _ = try append(bus, harness, [PartitionBatch(targets[2], records)])
        count += records.count
        try #require(count < 1_000_000)
      }
    }
    try LoopHarness.run(io) { harness in
      let bus = try open(directory, harness.loop, limits: limits)
      #expect(bus.endOffset(of: targets[2]) == UInt64(count))
      close(bus, harness)
      #expect(try sizes() == [limits.journalBytesOfMany, limits.journalBytesOfMany])
    }
  }

  /// What a side thread does to a file reaches that file, also when it was closed before the thread
  /// came to it and its descriptor's number could be another's.
  @Test func aClosedFileGetsWhatIsUnderWay() throws {
    let directory = try TemporaryDirectory()
    try LoopHarness.run { harness in
      let storage = RingStorage(root: directory.path, loop: harness.loop)
      let bytes = [UInt8](repeating: 7, count: 4_096)
      var waiting = 0
      func ended<Failure: Error>(_ result: Result<Void, Failure>) {
        waiting -= 1
        if case .failure(let failure) = result { Issue.record("\(failure)") }
      }
      try bytes.withUnsafeBytes { bytes in
        for number in 0..<200 {
          let file = try storage.openLoopFile("file-\(number)", .create)
          waiting += 3
          file.settle(at: 0, bytes, completion: ended)
          file.settle(completion: ended)
          file.allocate(8_192, completion: ended)
          file.close()
        }
        #expect(harness.until { waiting == 0 })
      }
      for number in 0..<200 {
        let file = try storage.open("file-\(number)", .read)
        defer { file.close() }
        var contents = [UInt8](repeating: 1, count: 8_193)
        let count = try contents.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        #expect(count == 8_192 && contents.prefix(4_096) == bytes[...], "file \(number)")
      }
    }
  }

  /// On ext4 and XFS, by whichever kernel interface the loop uses.
  @Test(arguments: IOKind.allCases) func smallReplicatedGroupsAreStoredInPlace(io: IOKind) throws {
    let directory = try TemporaryDirectory()
    let target = TopicPartition(.latency, 0)
    var total = 0
    try LoopHarness.run(io) { harness in
      let isMapped = try canMap(directory, harness)
      var options = EmbeddedBusOptions(
        storage: RingStorage(root: directory.path, loop: harness.loop), loop: harness.loop,
        logger: BusFixtures.logger(), dataDirectory: directory.path)
      options.topics[.latency] = TopicSettings()
      options.topics[.latency]?.durability = .replicated
      let bus = try EmbeddedBus.open(options)
      // The pages are made ready by a thread that a busy disk may hold up: as many as it takes.
      let end = harness.loop.clock.monotonic() + LoopHarness.deadline
      func isEnough() -> Bool {
        total >= 600 && (!isMapped || bus.metrics.storedCommits.value > 100)
      }
      while !isEnough(), harness.loop.clock.monotonic() < end {
        let record = BusFixtures.record(total, bytes: 100 + total % 7 * 2_000)
        #expect(try append(bus, harness, [PartitionBatch(target, [record])]) == [UInt64(total)])
        total += 1
      }
      #expect(isEnough(), "\(total) appended, \(bus.metrics.storedCommits.value) stored in place")
    }
    // As after a kill: all of it is the kernel's.
    try LoopHarness.run(io) { harness in
      let bus = try open(directory, harness.loop)
      #expect(bus.endOffset(of: target) == UInt64(total))
      var next = 0
      while next < total {
        let page = try poll(
          bus, harness,
          PollRequest(target, from: .offset(UInt64(next)), countMax: 100, bytesMax: 1 << 20))
        try #require(!page.records.isEmpty)
        for record in page.records {
          #expect(BusFixtures.number(record) == next)
          #expect(record.payloadBytes.count == 100 + next % 7 * 2_000)
          next += 1
        }
      }
      close(bus, harness)
    }
  }

  /// Whether files there can be stored to in place; where they can, it is read back.
  private func canMap(_ directory: TemporaryDirectory, _ harness: LoopHarness) throws -> Bool {
    let storage = RingStorage(root: directory.path, loop: harness.loop)
    let file = try storage.openLoopFile("mapped", .create)
    defer { file.close() }
    let blank = [UInt8](repeating: 0, count: 4 * LogLimits.blockBytes)
    try blank.withUnsafeBytes { try file.write(at: 0, $0) }
    var opened: Result<any FileWindow, StorageFailure>?
    let range = LogLimits.blockBytes..<3 * LogLimits.blockBytes
    file.openWindow(range) { opened = $0 }
    #expect(opened == nil, "a completion ran inside the call")
    #expect(harness.until { opened != nil })
    guard case .success(let window) = opened else { return false }
    #expect(window.range == range)
    let bytes: [UInt8] = [1, 2, 3]
    bytes.withUnsafeBytes { window.store($0, at: range.upperBound - 3) }
    var found = blank
    _ = try found.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    #expect(Array(found[(range.upperBound - 3)...].prefix(4)) == [1, 2, 3, 0])
    window.close()
    return true
  }

  /// Past flushes, segment rolls and several checkpoints: all of it is read back in order.
  @Test func largeLogsAreReadBackFromSegments() throws {
    let directory = try TemporaryDirectory()
    let target = TopicPartition(.audit, 0)
    let total = 400
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      var acknowledged = 0
      for number in 0..<total {
        bus.append([PartitionBatch(target, [BusFixtures.record(number, bytes: 200_000)])]) {
          if case .success(let firsts) = $0, firsts == [UInt64(number)] { acknowledged += 1 }
        }
        // Twenty megabytes at a time: what waits for the disk is bounded.
        if number % 100 == 99 { #expect(harness.until { acknowledged == number + 1 }) }
      }
      #expect(harness.until { bus.metrics.checkpoints.value > 0 })
      try readAll(bus, harness, target, total)
    }
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      try readAll(bus, harness, target, total)
      close(bus, harness)
    }
  }

  private func readAll(
    _ bus: EmbeddedBus, _ harness: LoopHarness, _ target: TopicPartition, _ total: Int
  ) throws {
    var next: UInt64 = 0
    while next < UInt64(total) {
      let result = try poll(
        bus, harness, PollRequest(target, from: .offset(next), countMax: 100, bytesMax: 1 << 20))
      try #require(!result.records.isEmpty)
      for record in result.records {
        #expect(record.offset == next)
        #expect(record.payloadBytes.count == 200_000)
        next += 1
      }
    }
    for offset: UInt64 in [0, 1, 77, 200, 399] {
      let result = try poll(
        bus, harness, PollRequest(target, from: .offset(offset), countMax: 1, bytesMax: 1))
      #expect(result.records.map(\.offset) == [offset])
      let time = try #require(result.records.first).appendTime
      let byTime = try poll(
        bus, harness, PollRequest(target, from: .timestamp(time), countMax: 1, bytesMax: 1))
      #expect(byTime.records.first.map { $0.offset <= offset && $0.appendTime == time } == true)
    }
  }

  /// A pipe would keep whoever opens it waiting; a directory opens, and cannot be read.
  @Test func whatIsNoFileIsNotThere() throws {
    let directory = try TemporaryDirectory()
    let storage = DiskStorage(root: directory.path)
    #expect(mkdir("\(directory.path)/directory", 0o700) == 0)
    #expect(mkfifo("\(directory.path)/pipe", 0o600) == 0)
    #expect(symlink("loop", "\(directory.path)/loop") == 0)
    for name in ["directory", "pipe", "loop", "nothing"] {
      let failure = #expect(throws: StorageFailure.self) { try storage.open(name, .read) }
      #expect(failure?.kind == .notFound, "\(name)")
    }
  }

  @Test func whatStandsInASegmentsPlaceIsMovedAside() throws {
    let directory = try TemporaryDirectory()
    let target = TopicPartition(.turnsRequests, 3)
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      for partition in [3, 4] {
        let batch = PartitionBatch(
          TopicPartition(.turnsRequests, partition), [BusFixtures.record(0)])
        _ = try append(bus, harness, [batch])
      }
      close(bus, harness)
    }
    let zeros = String(repeating: "0", count: 20)
    let path = "log/\(target.topic.stream)/\(target.topic.name)/3/\(zeros).log"
    #expect(unlink("\(directory.path)/\(path)") == 0)
    #expect(mkdir("\(directory.path)/\(path)", 0o700) == 0)
    let storage = DiskStorage(root: directory.path)
    let inspector = LogInspector(storage: storage, dataDirectory: directory.path)
    #expect(try inspector.inspect().problems.count == 1)
    let losses = try LogRepair(storage: storage, dataDirectory: directory.path).run().losses
    #expect(losses.map(\.target) == [target] && losses.first?.movedTo.count == 1)
    #expect(try inspector.inspect().problems == [])
    try LoopHarness.run { harness in
      let bus = try open(directory, harness.loop)
      #expect(try append(bus, harness, [PartitionBatch(target, [BusFixtures.record(1)])]) == [1])
      close(bus, harness)
    }
  }
}
