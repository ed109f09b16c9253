// Contract: a journal or segment cut at any length gives exactly the longest whole prefix; every
// flipped bit is detected or harmless; fields that make no sense behind true checksums are refused.
// Nothing traps, nothing wrong is ever returned, and nothing is missing without a word unless it
// was the last commit group, which a crash may take.

import Base
import Events
import Iggy
import LogBroker
import Testing

@Suite struct DamageTests {
  static let target = TopicPartition(.journal, 1)
  static let other = TopicPartition(.audit, 0)

  /// A log with one record per commit group and partition.
  private func sample(groups: Int, closed: Bool) throws -> SimulatedDisk {
    let loop = SimulatedLoop(seed: 3)
    let disk = SimulatedDisk(loop: loop, seed: 3)
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits.journalBytes = 20 << 10
    let bus = try EmbeddedBus.open(options)
    for number in 0..<groups {
      bus.append([
        PartitionBatch(Self.target, [BusFixtures.record(number, bytes: 100)]),
        PartitionBatch(Self.other, [BusFixtures.record(number, bytes: 40)]),
      ]) { _ in }
      loop.settle()
    }
    if closed {
      bus.close {}
      loop.settle()
    }
    return disk
  }

  private struct Found {
    var records: [Int] = []
    var error: BusError?
  }

  /// Reads a partition to its end or to the first error.
  private func read(_ log: OfflineLog, _ target: TopicPartition) -> Found {
    var found = Found()
    while UInt64(found.records.count) < log.endOffset(of: target) {
      do {
        let result = try log.poll(
          PollRequest(
            target, from: .offset(UInt64(found.records.count)), countMax: 3, bytesMax: 1 << 20))
        if result.records.isEmpty { return found }
        for record in result.records {
          #expect(record.offset == UInt64(found.records.count))
          let number = BusFixtures.number(record)
          let text = String(decoding: record.payloadBytes, as: UTF8.self)
          #expect(text.hasPrefix("{\"n\":\(number)}"), "wrong content")
          found.records.append(number)
        }
      } catch {
        found.error = error
        return found
      }
    }
    return found
  }

  private func open(_ disk: SimulatedDisk) throws -> OfflineLog {
    try OfflineLog(storage: disk, dataDirectory: "simulated")
  }

  private let journal = "log/journal-0-a.wal"

  // MARK: Journal

  @Test func aJournalCutAnywhereGivesItsLongestPrefix() throws {
    let groups = 3
    let disk = try sample(groups: groups, closed: false)
    let whole = disk.content(of: journal)
    let end = (groups + 1) * LogLimits.blockBytes + 100
    // Every length, but within the padding behind a group, where nothing changes.
    let lengths = (0...end).filter { length in
      let group = length / LogLimits.blockBytes - 1
      if group < 0 || group >= groups { return length < 64 || length % 97 == 0 }
      return length % 97 == 0 || length <= frameEnd(whole, group: group) + 2
    }
    for length in lengths {
      // Group n is whole once its frames are there, whatever became of the padding.
      for isZeroed in [false, true] {
        var cut = Array(whole.prefix(length))
        if isZeroed { cut += [UInt8](repeating: 0, count: whole.count - length) }
        disk.setContent(cut, of: journal)
        let log = try open(disk)
        let first = read(log, Self.target)
        let second = read(log, Self.other)
        let expected = (0..<groups).prefix { length >= frameEnd(whole, group: $0) }
        #expect(first.records == Array(expected), "cut at \(length)")
        #expect(first.records == second.records && first.error == nil && second.error == nil)
      }
    }
  }

  /// Where the last frame of a group ends.
  private func frameEnd(_ journal: [UInt8], group: Int) -> Int {
    var at = (group + 1) * LogLimits.blockBytes
    for _ in 0..<2 {
      at += 64 + journal.withUnsafeBytes { Int($0.littleEndian(at: at + 36, as: UInt32.self)) }
    }
    return at
  }

  @Test func everyFlippedBitOfAJournalIsDetectedOrHarmless() throws {
    let groups = 2
    let disk = try sample(groups: groups, closed: false)
    let whole = disk.content(of: journal)
    var harmless = 0
    for group in 0..<groups {
      for index in (group + 1) * LogLimits.blockBytes..<frameEnd(whole, group: group) + 4 {
        for bit in 0..<8 {
          var damaged = whole
          damaged[index] ^= 1 << UInt8(bit)
          disk.setContent(damaged, of: journal)
          harmless += try expectNothingSilentlyWrong(disk, groups: groups, flipped: group) ? 1 : 0
        }
      }
    }
    #expect(harmless == groups * 4 * 8, "only padding may be flipped unnoticed")
  }

  /// Returns whether everything is still there.
  private func expectNothingSilentlyWrong(
    _ disk: SimulatedDisk, groups: Int, flipped: Int
  ) throws -> Bool {
    let log: OfflineLog
    do {
      log = try open(disk)
    } catch {
      guard case LogBrokerError.damaged = error else { throw error }
      return false
    }
    var isWhole = true
    for target in [Self.target, Self.other] {
      let found = read(log, target)
      #expect(found.records == Array((0..<groups).prefix(found.records.count)))
      guard found.records.count < groups else { continue }
      isWhole = false
      // The last group may be torn by a crash. Any other loss has to be told.
      let isTorn = flipped == groups - 1 && found.records.count == groups - 1
      #expect(found.error != nil || isTorn, "\(found.records.count) records, no error")
    }
    return isWhole
  }

  @Test func everyFlippedBitOfAJournalHeaderIsDetected() throws {
    let disk = try sample(groups: 3, closed: false)
    let whole = disk.content(of: journal)
    for index in 0..<32 {
      for bit in 0..<8 {
        var damaged = whole
        damaged[index] ^= 1 << UInt8(bit)
        disk.setContent(damaged, of: journal)
        #expect(throws: LogBrokerError.self) { try open(disk) }
      }
    }
  }

  // MARK: Segments

  private let segment = "log/agent/agent.journal/1/00000000000000000000.log"

  /// Where each frame of a segment ends.
  private func frameEnds(_ segment: [UInt8]) -> [Int] {
    var ends: [Int] = []
    var at = 0
    while at < segment.count {
      at += 64 + segment.withUnsafeBytes { Int($0.littleEndian(at: at + 36, as: UInt32.self)) }
      ends.append(at)
    }
    return ends
  }

  @Test func aSegmentCutAnywhereGivesItsLongestPrefix() throws {
    let disk = try sample(groups: 4, closed: true)
    let whole = disk.content(of: segment)
    let ends = frameEnds(whole)
    #expect(ends.count == 4)
    for length in 0...whole.count {
      disk.setContent(Array(whole.prefix(length)), of: segment)
      let log = try open(disk)
      let found = read(log, Self.target)
      #expect(found.records == Array((0..<4).prefix { ends[$0] <= length }), "cut at \(length)")
      #expect((found.error == nil) == (length == whole.count), "cut at \(length)")
      #expect(read(log, Self.other).records == Array(0..<4), "others serve")
    }
  }

  @Test func everyFlippedBitOfASegmentIsDetected() throws {
    let disk = try sample(groups: 4, closed: true)
    let whole = disk.content(of: segment)
    let ends = frameEnds(whole)
    let log = try open(disk)
    for index in whole.indices {
      for bit in 0..<8 {
        var damaged = whole
        damaged[index] ^= 1 << UInt8(bit)
        disk.setContent(damaged, of: segment)
        let found = read(log, Self.target)
        let hit = ends.firstIndex { index < $0 } ?? 0
        #expect(found.records == Array(0..<hit), "byte \(index), bit \(bit)")
        guard case .damaged = found.error else {
          Issue.record("byte \(index), bit \(bit) went unnoticed: \(found)")
          return
        }
      }
    }
  }

  @Test func aSegmentThatIsGoneIsReported() throws {
    let disk = try sample(groups: 3, closed: true)
    disk.removeFile(segment)
    let log = try open(disk)
    #expect(read(log, Self.target).error != nil)
    #expect(read(log, Self.other).records == [0, 1, 2])
  }

  /// Frames whose fields are absurd, behind checksums that are true.
  @Test func absurdFieldsAreRefused() throws {
    let seed: UInt64 = 4_711
    let random = SeededRandom(seed: seed)
    var forgeries = 0
    let absurd: [UInt64] = [0, 1, 47, 255, 1 << 31, 1 << 32 - 1, 1 << 62, 1 << 63, .max]
    for closed in [false, true] {
      let disk = try sample(groups: 3, closed: closed)
      let path = closed ? segment : journal
      let whole = disk.content(of: path)
      let start = closed ? 0 : LogLimits.blockBytes
      for _ in 0..<ProofScale.count(3_000, whole: 50_000) {
        var forged = whole
        // In the frame's header, the batch's header or the first message's.
        let field = Int(random.next(below: 104)) * 4
        let value = absurd[Int(random.next(below: UInt64(absurd.count)))]
        forge(&forged, frame: start, field: field, value: value, wide: random.next() & 1 == 0)
        disk.setContent(forged, of: path)
        forgeries += 1
        guard let log = try? open(disk) else { continue }
        for target in [Self.target, Self.other] {
          for request in [
            PollRequest(target, from: .first, countMax: 9, bytesMax: 1 << 20),
            PollRequest(target, from: .last, countMax: 2, bytesMax: 100),
            PollRequest(target, from: .offset(1), countMax: 9, bytesMax: 1 << 20),
            PollRequest(
              target, from: .timestamp(Timestamp(microseconds: 5)), countMax: 1, bytesMax: 1),
          ] {
            let result = try? log.poll(request)
            for record in result?.records ?? [] { _ = record.payloadBytes.last }
          }
        }
      }
    }
    let wanted = ProofScale.count(6_000, whole: 100_000)
    ProofScale.row("absurd_fields_without_a_trap", forgeries, ">=\(wanted)", forgeries >= wanted)
    #expect(forgeries >= wanted)
  }

  private func forge(
    _ bytes: inout [UInt8], frame: Int, field: Int, value: UInt64, wide: Bool
  ) {
    bytes.withUnsafeMutableBytes { bytes in
      if wide {
        bytes.storeLittleEndian(value, at: frame + field)
      } else {
        bytes.storeLittleEndian(UInt32(truncatingIfNeeded: value), at: frame + field)
      }
      let readable = UnsafeRawBufferPointer(bytes)
      let length = Int(readable.littleEndian(at: frame + 36, as: UInt32.self))
      if frame + 64 + length <= bytes.count {
        bytes.storeLittleEndian(
          crc32c(readable.slice(frame + 64..<frame + 64 + length)), at: frame + 40)
      }
      bytes.storeLittleEndian(crc32c(readable.slice(frame..<frame + 60)), at: frame + 60)
    }
  }
}
