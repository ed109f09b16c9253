// Contract: what keeps a log from opening is a typed error that names the place and has the exit
// code of the surface; nothing is changed on disk by a refusal.

import Base
import Events
import Glibc
import LogBroker
import Testing

@Suite struct LogOpeningTests {
  private let loop = SimulatedLoop(seed: 9)
  private let disk: SimulatedDisk

  init() { disk = SimulatedDisk(loop: loop, seed: 9) }

  private func open(partitions: Int = 2) throws(LogBrokerError) -> EmbeddedBus {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = partitions
    options.limits.journalBytes = 64 << 10
    return try EmbeddedBus.open(options)
  }

  private func closedLog() throws {
    let bus = try open()
    bus.append([PartitionBatch(TopicPartition(.audit, 0), [BusFixtures.record(1)])]) { _ in }
    loop.settle()
    bus.close {}
    loop.settle()
  }

  /// Rewrites a sealed file with other content, sealed again.
  private func reseal(_ path: String, replacing old: String, with new: String) {
    let line = String(decoding: disk.content(of: path).prefix { $0 != 10 }, as: UTF8.self)
    let parts = line.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
    let changed = Array((String(parts[0]) + new + String(parts[1])).utf8)
    let sum = changed.withUnsafeBytes { crc32c($0) }
    let seal = Hex.encode(withUnsafeBytes(of: sum.bigEndian) { Array($0) })
    disk.setContent(changed + Array("\n\(seal)\n".utf8), of: path)
  }

  @Test func aSecondOpenerIsRefused() throws {
    let bus = try open()
    #expect(throws: LogBrokerError.locked(path: "simulated")) { try open() }
    #expect(LogBrokerError.locked(path: "").exitCode == 4)
    withExtendedLifetime(bus) {}
  }

  @Test func anotherPartitionCountIsRefused() throws {
    try closedLog()
    let error = LogBrokerError.partitionCountDiffers(configured: 4, stored: 2)
    #expect(throws: error) { try open(partitions: 4) }
    #expect(error.exitCode == 2)
    #expect(error.description.contains("4") && error.description.contains("2"))
    _ = try open()
  }

  @Test(arguments: ["log/catalog.json", "log/checkpoint.json"])
  func laterFormatsAreRefused(path: String) throws {
    try closedLog()
    reseal(path, replacing: "\"format_version\":1", with: "\"format_version\":2")
    let error = LogBrokerError.formatTooNew(file: path, version: 2, supported: 1)
    #expect(throws: error) { try open() }
    #expect(error.exitCode == 11)
  }

  @Test(arguments: ["log/catalog.json", "log/checkpoint.json"])
  func everyFlippedBitOfASealedFileIsDetected(path: String) throws {
    try closedLog()
    let whole = disk.content(of: path)
    for index in whole.indices {
      var damaged = whole
      damaged[index] ^= 1 << UInt8(index % 8)
      disk.setContent(damaged, of: path)
      #expect("byte \(index)") {
        _ = try open()
      } throws: {
        guard case LogBrokerError.damaged(let file, _)? = $0 as? LogBrokerError else {
          return false
        }
        return file == path && LogBrokerError.damaged(file: file, reason: "").exitCode == 10
      }
    }
    for length in 0..<whole.count {
      disk.setContent(Array(whole.prefix(length)), of: path)
      #expect(throws: LogBrokerError.self) { try open() }
    }
    disk.setContent(whole, of: path)
    _ = try open()
  }

  @Test(arguments: ["log/checkpoint.json", "log/journal-0-a.wal", "log/journal-0-b.wal"])
  func aMissingFileIsDamage(path: String) throws {
    try closedLog()
    disk.removeFile(path)
    #expect {
      _ = try open()
    } throws: {
      if case LogBrokerError.damaged(path, _)? = $0 as? LogBrokerError { true } else { false }
    }
  }

  @Test func aFullDiskIsNamed() {
    disk.isFull = true
    #expect(throws: LogBrokerError.diskFull(path: "simulated")) { try open() }
    #expect(LogBrokerError.diskFull(path: "").exitCode == 5)
  }

  @Test func aPathThatIsNoDirectoryIsNotWritable() throws {
    let directory = try TemporaryDirectory()
    let file = "\(directory.path)/file"
    Glibc.close(creat(file, 0o600))
    for path in [file, "\(file)/below", "/proc/nowhere/data"] {
      #expect {
        try DiskStorage(root: path).makeDirectory("")
      } throws: {
        ($0 as? StorageFailure)?.kind == .denied || ($0 as? StorageFailure)?.kind == .notFound
      }
    }
  }
}
