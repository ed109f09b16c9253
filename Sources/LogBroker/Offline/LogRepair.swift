import Base
package import Events
import Iggy

/// Makes a damaged log serve again: files that are damaged are moved aside whole (`log/damaged/`),
/// every batch in them that is whole is kept, and what is lost becomes a known gap. Takes the data
/// directory's lock; the journal is emptied into the segments.
///
/// What a damaged journal has lost nobody knows: of any partition, records since the last
/// checkpoint. So every partition goes on `offsetsSkipped` offsets higher: none is given out twice.
package struct LogRepair {
  /// What became of a partition.
  package struct Loss: Sendable {
    package var target: TopicPartition
    /// Offsets whose records are lost.
    package var offsets: [Range<UInt64>]
    /// Where the damaged files are now.
    package var movedTo: [String]
  }

  private let storage: any Storage
  private let dataDirectory: String
  private let acceptsClock: Bool
  private let key: LogKey?

  /// - Parameters:
  ///   - acceptsClock: the wall clock as it is now is right, also when it has jumped.
  ///   - key: what the log is enciphered with, where it is.
  package init(
    storage: any Storage, dataDirectory: String, acceptsClock: Bool = false, key: LogKey? = nil
  ) {
    self.key = key
    self.storage = storage
    self.dataDirectory = dataDirectory
    self.acceptsClock = acceptsClock
  }

  /// What a repair did.
  package struct Outcome: Sendable {
    /// What of partitions is known to be lost.
    package var losses: [Loss] = []
    /// Damaged journals: what was wrong with them, and where they are now.
    package var journals: [(problem: String, movedTo: String?)] = []
  }

  static let directory = "log/damaged"

  /// More than the disk takes between two checkpoints.
  package static let offsetsSkipped: UInt64 = 1 << 30

  /// Returns what was lost; nothing when nothing was damaged, and then nothing was changed but the
  /// clock that was accepted.
  package func run() throws(LogBrokerError) -> Outcome {
    let lock = try takeLock()
    defer { lock.release() }
    let inspector = LogInspector(storage: storage, dataDirectory: dataDirectory, key: key)
    let image = try inspector.image()
    if !image.journalDamage.isEmpty { skipOffsets(image.table) }
    var findings: [LogInspector.Finding] = []
    for log in image.table.all { findings.append(try inspector.examine(log)) }
    var saved = try LogImage.checkpoint(storage)
    if acceptsClock { saved.clock = nil }
    guard findings.contains(where: \.isDamaged) || !image.journalDamage.isEmpty else {
      if acceptsClock { try attempt(saved) }
      return Outcome()
    }
    var outcome = Outcome()
    var checkpoint = Checkpoint()
    for finding in findings {
      let (partition, loss) = try settle(finding, inspector)
      checkpoint.partitions.append(partition)
      if let loss { outcome.losses.append(loss) }
    }
    checkpoint.clock = saved.clock
    checkpoint.released = image.journal.state.newestGeneration
    checkpoint.offsets = image.offsets.byKey.map { key, offset in
      .init(topic: key.topic, partition: key.partition, group: key.group, offset: offset)
    }
    try attempt(checkpoint)
    outcome.journals = try replaceJournals(image.journalDamage)
    return outcome
  }

  private func skipOffsets(_ table: PartitionTable) {
    for topic in Topic.everyCase {
      for partition in 0..<table.count(of: topic) {
        let log = table.log(TopicPartition(topic, partition))
        log.leaveGap(upTo: log.endOffset + Self.offsetsSkipped, isKnown: true)
      }
    }
  }

  /// Moves damaged journals aside, of which the checkpoint needs nothing any more.
  private func replaceJournals(
    _ damage: [JournalRecovery.Damage]
  ) throws(LogBrokerError) -> [(problem: String, movedTo: String?)] {
    let sizes = try LogImage.catalog(storage)?.journalBytes ?? []
    var replaced: [(problem: String, movedTo: String?)] = []
    for file in Set(damage.map(\.file)).sorted() {
      let size = file < sizes.count ? sizes[file] : LogLimits().journalBytes
      let movedTo: String?
      do throws(StorageFailure) {
        movedTo = try setAside(Journal.path(file), in: Self.directory)
        let fresh = try storage.open(Journal.path(file), .create)
        defer { fresh.close() }
        try fresh.fill(from: 0, to: size)
        try fresh.sync()
        try storage.syncDirectory("log")
      } catch { throw failure(error) }
      let reasons = damage.filter { $0.file == file }.map(\.reason)
      replaced.append(("\(Journal.path(file)): \(reasons.joined(separator: "; "))", movedTo))
    }
    return replaced
  }

  /// Moves what stands at `path`, file or not, into a directory, beside what an earlier repair has
  /// moved there; returns its new name, nil when there was nothing.
  private func setAside(
    _ path: String, in directory: String
  ) throws(StorageFailure) -> String? {
    try storage.makeDirectory(directory)
    let name = "\(directory)/\(path.split(separator: "/").last!)"
    var target = name
    var number = 0
    while try storage.identity(of: target) != nil {
      number += 1
      target = "\(name).\(number)"
    }
    do throws(StorageFailure) { try storage.rename(path, to: target) } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
    try storage.syncDirectory(directory)
    return target
  }

  private func takeLock() throws(LogBrokerError) -> any StorageLock {
    do throws(StorageFailure) { return try storage.lock("lock") } catch {
      if error.kind == .locked { throw .locked(path: dataDirectory) }
      throw failure(error)
    }
  }

  private func attempt(_ checkpoint: Checkpoint) throws(LogBrokerError) {
    do throws(StorageFailure) {
      try storage.replace(Checkpoint.path, in: "log", with: checkpoint.encoded)
    } catch { throw failure(error) }
  }

  private func failure(_ failure: StorageFailure) -> LogBrokerError {
    switch failure.kind {
    case .diskFull: .diskFull(path: dataDirectory)
    case .denied: .notWritable(path: dataDirectory, reason: failure.description)
    default: .failed("the log in \(dataDirectory) cannot be repaired: \(failure)")
    }
  }

  // MARK: One partition

  /// Everything whole of a partition goes into segments, durably.
  private func settle(
    _ finding: LogInspector.Finding, _ inspector: LogInspector
  ) throws(LogBrokerError) -> (Checkpoint.Partition, Loss?) {
    let log = finding.log
    var kept = Kept()
    var moved: [String] = []
    for (segment, check) in finding.checks {
      if check.problems.isEmpty {
        kept.add(segment, check.frames, size: segment.size, packedBytes: segment.packedBytes)
      } else {
        let memory = try inspector.contents(of: segment)
        do throws(StorageFailure) {
          moved += try moveAside(segment, check.frames, memory, &kept)
        } catch { throw failure(error) }
      }
    }
    do throws(StorageFailure) {
      try addTail(log, &kept)
    } catch { throw failure(error) }
    let gaps = kept.gaps(from: log.firstOffset, to: log.endOffset)
    let lost = gaps.filter { !log.gaps.contains($0) }
    let partition = Checkpoint.Partition(
      topic: log.topicNumber, partition: UInt32(log.target.partition), start: log.firstOffset,
      end: kept.end, time: max(kept.time, log.lastTime), segments: kept.segments, gaps: gaps,
      reservation: log.reservation)
    let isLossy = finding.isDamaged || !lost.isEmpty
    return (
      partition, isLossy ? Loss(target: log.target, offsets: lost, movedTo: moved) : nil
    )
  }

  /// What a partition consists of after the repair.
  private struct Kept {
    var segments: [Checkpoint.Segment] = []
    var ranges: [Range<UInt64>] = []
    var end: UInt64 = 0
    var time: UInt64 = 0

    mutating func add(
      _ segment: Segment, _ frames: [SegmentCheck.Frame], size: Int, packedBytes: Int = 0
    ) {
      guard let last = frames.last else { return }
      segments.append(
        .init(
          base: frames[0].base, size: size, firstTime: frames[0].time,
          openedAt: segment.openedAt, writtenAt: segment.writtenAt, packedBytes: packedBytes))
      ranges += frames.map { $0.base..<$0.end }
      end = last.end
      time = last.time
    }

    /// Offsets without a record.
    func gaps(from start: UInt64, to end: UInt64) -> [Range<UInt64>] {
      var gaps: [Range<UInt64>] = []
      var at = start
      for range in ranges where range.upperBound > at {
        if range.lowerBound > at { gaps.append(at..<range.lowerBound) }
        at = range.upperBound
      }
      if end > at { gaps.append(at..<end) }
      return gaps
    }
  }

  /// Replaces a damaged file by one with its whole frames; returns where it is now.
  private func moveAside(
    _ segment: Segment, _ frames: [SegmentCheck.Frame], _ memory: AlignedBuffer,
    _ kept: inout Kept
  ) throws(StorageFailure) -> [String] {
    let parent = segment.path.split(separator: "/").dropLast().joined(separator: "/")
    let directory = Self.directory + parent.dropFirst("log".count)
    let fresh = segment.path + ".repair"
    if !frames.isEmpty {
      let file = try storage.open(fresh, .create)
      defer { file.close() }
      var size = 0
      for frame in frames {
        try file.write(at: size, UnsafeRawBufferPointer(memory.bytes).slice(frame.range))
        size += frame.range.count
      }
      try file.sync()
      kept.add(segment, frames, size: size)
    }
    let moved = try setAside(segment.path, in: directory)
    if let first = frames.first {
      let path = "\(parent)/\(Segment.fileName(base: first.base))"
      try storage.rename(fresh, to: path)
      try storage.syncDirectory(parent)
    }
    return moved.map { [$0] } ?? []
  }

  /// What is in the journal only gets a segment of its own.
  private func addTail(_ log: PartitionLog, _ kept: inout Kept) throws(StorageFailure) {
    let chunks = log.tail.filter { $0.unflushed > 0 }
    guard let first = chunks.first?.frames.first else { return }
    try storage.makeDirectory(log.directory)
    let segment = Segment(base: first.base, directory: log.directory, size: 0)
    // Beside the file of this name, which may hold these very records.
    let fresh = segment.path + ".repair"
    let file = try storage.open(fresh, .create)
    defer { file.close() }
    var frames: [SegmentCheck.Frame] = []
    var size = 0
    for chunk in chunks {
      try file.write(at: size, UnsafeRawBufferPointer(rebasing: chunk.memory[0..<chunk.used]))
      for (index, frame) in chunk.frames.enumerated() {
        frames.append(
          .init(
            range: size + frame.position..<size + chunk.frameEnd(index), base: frame.base,
            count: frame.count, time: frame.time,
            checksum: UnsafeRawBufferPointer(chunk.memory).littleEndian(at: frame.position + 60)))
      }
      size += chunk.used
    }
    try file.sync()
    try storage.rename(fresh, to: segment.path)
    for directory in ["log", "log/\(log.target.topic.stream)", "log/\(log.target.topic.path)"] {
      try storage.syncDirectory(directory)
    }
    try storage.syncDirectory(log.directory)
    kept.add(segment, frames, size: size)
  }
}
