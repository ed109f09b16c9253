// Contract: with a key no batch is in the clear on the disk, wherever it stands, and polls give what
// they gave without one; each batch has a nonce of its own. Another key, or none, is refused with
// the key that is needed and what to do. A log that was begun in the clear goes on encrypted. What
// was changed or moved behind true checksums is told.

import Base
import Events
import Iggy
import LogBroker
import Testing

@Suite struct EncryptionTests {
  private static let target = TopicPartition(.journal, 1)
  private static let sibling = TopicPartition(.journal, 0)
  private static let secret = "a passphrase nobody may find"
  private static let other = LogKey(String(repeating: "c3", count: LogKey.length))

  private final class Scene {
    var loop = SimulatedLoop(seed: 9)
    var disk: SimulatedDisk
    private(set) var bus: EmbeddedBus?
    private(set) var count = 0

    init() { disk = SimulatedDisk(loop: loop, seed: 9) }

    func open(_ key: LogKey?) throws {
      var options = EmbeddedBusOptions(
        storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
      options.partitions = 2
      options.limits.flushBytes = 4 << 10
      options.limits.journalBytes = 1 << 20
      options.key = key
      bus = try EmbeddedBus.open(options)
      loop.settle()
    }

    /// Some that go to the journal, and some that are written directly.
    func append(_ batches: Int, to target: TopicPartition = EncryptionTests.target) {
      for index in 0..<batches {
        var records: [BusRecord] = []
        for _ in 0...index % 3 {
          let filler = index % 5 == 4 ? 70_000 : 600
          let text = "{\"n\":\(count),\"x\":\"\(EncryptionTests.secret)\"}"
          let payload = Array(text.utf8) + [UInt8](repeating: 0x20, count: filler)
          records.append(
            BusRecord(
              eventID: ULID(value: UInt128(count) << 8 | 5), type: "TestEvent.v1",
              payload: payload))
          count += 1
        }
        var isDone = false
        bus?.append([PartitionBatch(target, records)]) { if case .success = $0 { isDone = true } }
        loop.settle()
        #expect(isDone)
      }
    }

    func restart(_ key: LogKey?, isClosed: Bool) throws {
      if isClosed {
        bus?.close {}
        loop.settle()
      }
      bus = nil
      loop.forgetEverything()
      loop = SimulatedLoop(seed: 10)
      disk = disk.afterKill(loop: loop)
      try open(key)
    }

    func poll(_ offset: Int) -> Result<PollResult, BusError>? {
      var found: Result<PollResult, BusError>?
      bus?.poll(
        PollRequest(
          EncryptionTests.target, from: .offset(UInt64(offset)), countMax: 9, bytesMax: 1 << 20)
      ) { found = $0 }
      loop.settle()
      return found
    }

    func expectAll() throws {
      var next = 0
      while next < count {
        let page = try #require(try poll(next)?.get())
        for record in page.records {
          #expect(BusFixtures.number(record) == next && record.offset == UInt64(next))
          let text = String(decoding: record.payloadBytes.prefix(60), as: UTF8.self)
          #expect(text.contains(EncryptionTests.secret))
          #expect(record.header("type") == "TestEvent.v1")
          next += 1
        }
        guard !page.records.isEmpty else { return }
      }
    }

    /// Files in which the text stands.
    func files(with text: String) -> [String] {
      let wanted = Array(text.utf8)
      return disk.paths.filter { path in
        let content = disk.content(of: path)
        var at = content.startIndex
        while let found = content[at...].firstIndex(of: wanted[0]) {
          if content[found...].starts(with: wanted) { return true }
          at = found + 1
        }
        return false
      }
    }
  }

  @Test func nothingIsInTheClear() throws {
    let scene = Scene()
    try scene.open(BusFixtures.key)
    scene.append(30)
    try scene.expectAll()
    for isClosed in [false, true] {
      try scene.restart(BusFixtures.key, isClosed: isClosed)
      try scene.expectAll()
      scene.append(6)
    }
    #expect(scene.files(with: Self.secret).isEmpty)
    #expect(scene.files(with: "TestEvent").isEmpty)
    let log = try OfflineLog(
      storage: scene.disk, dataDirectory: "simulated", key: BusFixtures.key)
    #expect(log.endOffset(of: Self.target) == UInt64(scene.count))
    let report = try LogInspector(
      storage: scene.disk, dataDirectory: "simulated", key: BusFixtures.key
    ).inspect()
    #expect(report.problems.isEmpty)
  }

  @Test func noNonceIsUsedTwice() throws {
    let scene = Scene()
    try scene.open(BusFixtures.key)
    scene.append(60)
    try scene.restart(BusFixtures.key, isClosed: true)
    scene.append(60)
    try scene.restart(BusFixtures.key, isClosed: true)
    var nonces: Set<[UInt8]> = []
    var batches = 0
    for path in scene.disk.paths where path.hasSuffix(".log") {
      let bytes = scene.disk.content(of: path)
      var at = 0
      while at + 320 <= bytes.count {
        let length = bytes.withUnsafeBytes { Int($0.littleEndian(at: at + 36, as: UInt32.self)) }
        guard bytes[at..<at + 4].elementsEqual(Array("KFMF".utf8)), length > 256 else {
          // Padding up to the next block.
          at = (at / 4_096 + 1) * 4_096
          continue
        }
        batches += 1
        nonces.insert(Array(bytes[at + 64 + 52..<at + 64 + 64]))
        at += 64 + length
      }
    }
    #expect(batches >= 100 && nonces.count == batches)
  }

  @Test func theWrongKeyIsNamed() throws {
    let scene = Scene()
    try scene.open(BusFixtures.key)
    scene.append(3)
    scene.bus?.close {}
    scene.loop.settle()
    let name = try #require(BusFixtures.key).description.split(separator: " ").last ?? ""
    for key in [nil, Self.other] {
      for attempt in [
        { try scene.restart(key, isClosed: false) },
        { _ = try OfflineLog(storage: scene.disk, dataDirectory: "simulated", key: key) },
        {
          _ = try LogInspector(
            storage: scene.disk, dataDirectory: "simulated", key: key
          ).inspect()
        },
      ] {
        let error = #expect(throws: LogBrokerError.self) { try attempt() }
        guard case .wrongKey(let needed, let given) = error else {
          Issue.record("\(error as Any)")
          continue
        }
        #expect(needed == name && (given == nil) == (key == nil))
        #expect(error?.exitCode == 2 && "\(error!)".contains("bus.encryption_key"))
      }
    }
    #expect(LogKey("5a") == nil && LogKey(String(repeating: "x", count: 64)) == nil)
    #expect(!"\(BusFixtures.key as Any)".contains("5a5a"))
  }

  @Test func aLogThatWasBegunInTheClearGoesOn() throws {
    let scene = Scene()
    try scene.open(nil)
    scene.append(8)
    try scene.restart(BusFixtures.key, isClosed: true)
    try scene.expectAll()
    let before = scene.files(with: "\"n\":\(scene.count - 1),").count
    #expect(before > 0)
    scene.append(8)
    try scene.restart(BusFixtures.key, isClosed: false)
    try scene.expectAll()
    #expect(scene.files(with: "\"n\":\(scene.count - 1),").isEmpty)
  }

  /// Checksums of the frame and its header, made true again.
  private func forge(_ disk: SimulatedDisk, _ path: String, _ change: (inout [UInt8]) -> Void) {
    var bytes = disk.content(of: path)
    change(&bytes)
    bytes.withUnsafeMutableBytes { bytes in
      let readable = UnsafeRawBufferPointer(bytes)
      let length = Int(readable.littleEndian(at: 36, as: UInt32.self))
      bytes.storeLittleEndian(crc32c(readable.slice(64..<64 + length)), at: 40)
      bytes.storeLittleEndian(crc32c(readable.slice(0..<60)), at: 60)
    }
    disk.setContent(bytes, of: path)
  }

  @Test func whatWasForgedIsTold() throws {
    let scene = Scene()
    try scene.open(BusFixtures.key)
    scene.append(2)
    scene.append(2, to: Self.sibling)
    scene.bus?.close {}
    scene.loop.settle()
    let path = "log/agent/agent.journal/1/00000000000000000000.log"
    let whole = scene.disk.content(of: path)
    func first() throws -> Result<PollResult, BusError> {
      let log = try OfflineLog(
        storage: scene.disk, dataDirectory: "simulated", key: BusFixtures.key)
      do throws(BusError) {
        return .success(
          try log.poll(PollRequest(Self.target, from: .first, countMax: 1, bytesMax: 100)))
      } catch { return .failure(error) }
    }
    #expect(try first().get().records.count == 1)
    // Offsets, times and the count; the checksum; nonce and tag; messages.
    for byte in [8, 16, 24, 40, 48, 52, 63, 64, 79, 256, 300, 700] {
      forge(scene.disk, path) { $0[64 + byte] ^= 1 }
      guard case .failure(.damaged) = try first() else {
        Issue.record("byte \(byte) was forged unnoticed")
        continue
      }
      scene.disk.setContent(whole, of: path)
    }
    // The sibling's batch in its place.
    let moved = scene.disk.content(of: "log/agent/agent.journal/0/00000000000000000000.log")
    #expect(moved.count == whole.count)
    forge(scene.disk, path) { bytes in
      bytes = moved
      bytes.withUnsafeMutableBytes { $0.storeLittleEndian(UInt32(1), at: 32) }
    }
    guard case .failure(.damaged(let reason)) = try first() else {
      Issue.record("a batch of another partition was taken")
      return
    }
    #expect(reason.contains("encrypted"))
  }
}
