import Base
package import Events
import Iggy

/// Makes a damaged log serve again: files that are damaged are moved aside whole (`log/damaged/`),
/// every batch in them that is whole is kept, and what is lost becomes a known gap. Takes the data
/// directory's lock; the journal is emptied into the segments.
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

  static let directory = "log/damaged"

  /// Returns what was lost; nothing when nothing was damaged, and then nothing was changed but the
  /// clock that was accepted.
  package func run() throws(LogBrokerError) -> [Loss] {
    let lock = try takeLock()
    defer { lock.release() }
    let inspector = LogInspector(storage: storage, dataDirectory: dataDirectory, key: key)
    let image = try inspector.image()
    var findings: [LogInspector.Finding] = []
    for log in image.table.all { findings.append(try inspector.examine(log)) }
    var saved = try LogImage.checkpoint(storage)
    if acceptsClock { saved.clock = nil }
    guard findings.contains(where: \.isDamaged) else {
      if acceptsClock { try attempt(saved) }
      return []
    }
    var losses: [Loss] = []
    var checkpoint = Checkpoint()
    for finding in findings {
      let (partition, loss) = try settle(finding, inspector)
      checkpoint.partitions.append(partition)
      if let loss { losses.append(loss) }
    }
    checkpoint.clock = saved.clock
    checkpoint.released = image.journal.state.newestGeneration
    checkpoint.offsets = image.offsets.byKey.map { key, offset in
      .init(topic: key.topic, partition: key.partition, group: key.group, offset: offset)
    }
    try attempt(checkpoint)
    return losses
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
    let directory = "\(Self.directory)/\(segment.path.dropFirst(4).prefix { $0 != "." })"
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
    var moved: [String] = []
    if memory.bytes.count > 0 {
      try storage.makeDirectory(directory)
      let target = "\(directory)/\(segment.path.split(separator: "/").last!)"
      try storage.rename(segment.path, to: target)
      try storage.syncDirectory(directory)
      moved = [target]
    }
    if let first = frames.first {
      let parent = segment.path.split(separator: "/").dropLast().joined(separator: "/")
      let path = "\(parent)/\(Segment.fileName(base: first.base))"
      try storage.rename(fresh, to: path)
      try storage.syncDirectory(parent)
    }
    return moved
  }

  /// What is in the journal only gets a segment of its own.
  private func addTail(_ log: PartitionLog, _ kept: inout Kept) throws(StorageFailure) {
    let chunks = log.tail.filter { $0.unflushed > 0 }
    guard let first = chunks.first?.frames.first else { return }
    try storage.makeDirectory(log.directory)
    let segment = Segment(base: first.base, directory: log.directory, size: 0)
    let file = try storage.open(segment.path, .create)
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
    for directory in ["log", "log/\(log.target.topic.stream)", "log/\(log.target.topic.path)"] {
      try storage.syncDirectory(directory)
    }
    try storage.syncDirectory(log.directory)
    kept.add(segment, frames, size: size)
  }
}
