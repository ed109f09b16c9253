import Events
import Iggy

/// What stands behind the end of a partition that was written directly, and what it shows.
struct DirectLoss {
  /// The beginning of a frame that is not where the partition ends.
  struct Sighting {
    var segment: Segment
    var position: Int
    var base: UInt64
    var end: UInt64
    /// All records before it were durable when it was written.
    var settled: UInt64
  }

  /// By offset.
  var sightings: [Sighting] = []
  var reason = ""

  /// The offset after the last record that is known to have been given one.
  var end: UInt64 { sightings.reduce(0) { max($0, $1.end) } }
}

extension DirectFinder {
  /// What shows that a record behind the partition's end is missing which was acknowledged; nil when
  /// a crash explains it all. A frame says how many records before it were not durable when it was
  /// written: all others have to be there.
  func loss(behind log: PartitionLog) throws(StorageFailure) -> DirectLoss? {
    // What was begun further behind the missing record was begun after it had been acknowledged.
    let window = windowBytes + 2 * LogLimits.blockBytes
    guard
      let proof = try look(behind: log, bytesMax: window).first(where: {
        $0.settled > log.endOffset
      })
    else { return nil }
    var loss = DirectLoss()
    loss.sightings = try look(behind: log, bytesMax: .max).sorted { $0.base < $1.base }
    let path = log.segments.last?.path ?? proof.segment.path
    loss.reason = "\(path): the record at offset \(log.endOffset) is not what was written"
    return loss
  }

  /// The frames behind the partition's end, of the first `bytesMax` bytes of each file there.
  private func look(
    behind log: PartitionLog, bytesMax: Int
  ) throws(StorageFailure) -> [DirectLoss.Sighting] {
    var found: [DirectLoss.Sighting] = []
    if let last = log.segments.last, last.id != 0, !last.isPacked {
      let from = last.isDamaged ? 0 : Self.position(log, last)
      found += try look(last, from: from, of: log, bytesMax: bytesMax)
    }
    for record in log.announced + log.unreached where record.base > log.endOffset {
      found += try look(Self.segment(record, of: log), from: 0, of: log, bytesMax: bytesMax)
    }
    return found
  }

  /// Notes the frames that begin at blocks of the segment's file, from `from` on.
  private func look(
    _ segment: Segment, from: Int, of log: PartitionLog, bytesMax: Int
  ) throws(StorageFailure) -> [DirectLoss.Sighting] {
    guard let file = try fileIfThere(segment) else { return [] }
    defer { file.close() }
    var sightings: [DirectLoss.Sighting] = []
    let size = try file.size()
    guard from < size else { return [] }
    let end = from + min(bytesMax, size - from)
    let part = AlignedBuffer(capacity: min(1 << 20, GroupWriter.roundedToBlock(end - from)))
    for at in stride(from: from, to: end, by: part.bytes.count) {
      let count = try file.read(
        at: at, into: part.bytes.slice(0..<min(part.bytes.count, end - at)))
      let bytes = UnsafeRawBufferPointer(part.bytes.slice(0..<count))
      for block in stride(from: 0, to: count, by: LogLimits.blockBytes) {
        guard let found = Self.sighting(bytes.slice(block..<count), segment, at + block, log),
          found.base >= log.endOffset
        else { continue }
        sightings.append(found)
      }
    }
    return sightings
  }

  private func fileIfThere(_ segment: Segment) throws(StorageFailure) -> (any StorageFile)? {
    do throws(StorageFailure) {
      return try storage.open(segment.path, .read)
    } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
  }

  private static func sighting(
    _ bytes: UnsafeRawBufferPointer, _ segment: Segment, _ position: Int, _ log: PartitionLog
  ) -> DirectLoss.Sighting? {
    let least = FrameHeader.length + BatchHeader.length
    guard bytes.count >= least, let header = FrameHeader(bytes), header.isDirect,
      header.generation == segment.id, header.topic == log.topicNumber,
      header.partition == UInt32(log.target.partition),
      let batch = BatchCipher.header(
        of: bytes.slice(FrameHeader.length..<least), key: header.key)
    else { return nil }
    let settled = batch.baseOffset.subtractingReportingOverflow(UInt64(header.unsettled))
    let end = batch.baseOffset.addingReportingOverflow(UInt64(batch.messageCount))
    guard !settled.overflow, !end.overflow else { return nil }
    return .init(
      segment: segment, position: position, base: batch.baseOffset, end: end.partialValue,
      settled: settled.partialValue)
  }

  /// Takes in the frames of a loss that are whole, behind what is missing.
  func salvage(_ loss: DirectLoss, of log: PartitionLog) throws(StorageFailure) {
    for sighting in loss.sightings where sighting.base >= log.endOffset {
      guard let file = try fileIfThere(sighting.segment) else { continue }
      defer { file.close() }
      guard
        let (frame, memory) = try read(
          file, at: sighting.position, log, sighting.segment, continuing: nil, from: sighting.base)
      else { continue }
      if frame.base > log.endOffset { log.leaveGap(upTo: frame.base) }
      log.appendFound(
        UnsafeMutableRawBufferPointer(rebasing: memory.bytes[0..<frame.range.count]),
        .init(base: frame.base, count: frame.count, time: frame.time, position: 0),
        in: sighting.segment, at: sighting.position, owner: memory)
    }
  }
}
