import Base
import Events
import Iggy

/// Reads a whole data directory and says what is in it: every batch's checksums, every offset.
/// Needs no lock and writes nothing; beside a running node what is written meanwhile may be missed.
package struct LogInspector {
  let storage: any Storage
  let dataDirectory: String
  private let key: LogKey?

  /// - Parameter key: what the log is enciphered with, where it is.
  package init(storage: any Storage, dataDirectory: String, key: LogKey? = nil) {
    self.key = key
    self.storage = storage
    self.dataDirectory = dataDirectory
  }

  /// A partition, and what was found of its segments.
  struct Finding {
    let log: PartitionLog
    var checks: [(segment: Segment, check: SegmentCheck)] = []

    var isDamaged: Bool { log.damage != nil || checks.contains { !$0.check.problems.isEmpty } }
  }

  package func inspect() throws(LogBrokerError) -> LogReport {
    let image = try image()
    var report = LogReport()
    report.journalGroups = image.journal.groups
    report.tornTails = image.journal.tornTails
    report.journalProblems = image.journalDamage.map { "\(Journal.path($0.file)): \($0.reason)" }
    for log in image.table.all {
      report.partitions.append(partition(try examine(log)))
    }
    return report
  }

  func image() throws(LogBrokerError) -> LogImage {
    guard var catalog = try LogImage.catalog(storage) else {
      throw .failed("there is no log in \(dataDirectory)")
    }
    catalog.addMissing()
    let journals = try LogImage.readJournals(storage, isSalvaging: true)
    return try LogImage.read(
      storage, catalog, try LogImage.checkpoint(storage), journals: journals, key: key,
      windowBytes: LogLimits().directWindowBytes, isSyncing: false,
      isSalvaging: true
    ) { _, _ in }
  }

  /// Reads all segments of a partition, one at a time.
  func examine(_ log: PartitionLog) throws(LogBrokerError) -> Finding {
    var finding = Finding(log: log)
    // One piece of memory for all: new pages would cost as much as the reading.
    let memory = AlignedBuffer(capacity: log.segments.reduce(0) { max($0, $1.size) })
    for segment in log.segments {
      let check = SegmentCheck(try contents(of: segment, into: memory), segment, of: log)
      finding.checks.append((segment, check))
    }
    return finding
  }

  /// The file up to the size it should have; what is missing is left out.
  func contents(of segment: Segment) throws(LogBrokerError) -> AlignedBuffer {
    let memory = AlignedBuffer(capacity: segment.size)
    let count = try contents(of: segment, into: memory).count
    if count == memory.bytes.count { return memory }
    let left = AlignedBuffer(capacity: count)
    left.bytes.copyMemory(from: UnsafeRawBufferPointer(memory.bytes.slice(0..<count)))
    return left
  }

  /// The same in `memory`, which has room for it.
  private func contents(
    of segment: Segment, into memory: AlignedBuffer
  ) throws(LogBrokerError) -> UnsafeRawBufferPointer {
    do throws(StorageFailure) {
      let file = try storage.openSegment(segment)
      defer { file.close() }
      let part = memory.bytes.slice(0..<min(segment.size, try file.size()))
      guard try file.read(at: 0, into: part) == part.count else {
        throw StorageFailure(.other, "\(segment.path) became shorter")
      }
      return UnsafeRawBufferPointer(part)
    } catch {
      if error.kind == .notFound { return UnsafeRawBufferPointer(memory.bytes.slice(0..<0)) }
      throw .failed("a segment cannot be read: \(error)")
    }
  }

  private func partition(_ finding: Finding) -> LogReport.Partition {
    let log = finding.log
    let segments = finding.checks.map { segment, check in
      LogReport.Segment(
        path: segment.path, base: segment.base, bytes: segment.size,
        batches: check.frames.count, records: check.frames.reduce(0) { $0 + Int($1.count) },
        firstTime: check.frames.first.map(\.appendTime),
        lastTime: check.frames.last.map(\.appendTime),
        problems: check.problems.map { "\(segment.path) at byte \($0.position): \($0.reason)" })
    }
    var problems = segments.flatMap(\.problems)
    if let damage = log.damage, problems.isEmpty { problems = ["\(log.directory): \(damage)"] }
    return LogReport.Partition(
      target: log.target, firstOffset: log.firstOffset, endOffset: log.endOffset,
      gaps: log.gaps,
      journalRecords: log.tail.reduce(0) { $0 + $1.frames.reduce(0) { $0 + Int($1.count) } },
      segments: segments, problems: problems)
  }
}

extension SegmentCheck.Frame {
  fileprivate var appendTime: Timestamp { Timestamp(microseconds: Int64(clamping: time)) }
}
