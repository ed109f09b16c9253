import Base
import Events
import Iggy

/// Answers polls: from memory where the records are there, else with reads through the loop.
final class LogReader {
  private let files: SegmentFiles
  private let pool = BufferPool()
  private let loop: any LogLoop
  /// Hears of damage that a read has found.
  private let onDamage: (PartitionLog, String) -> Void

  typealias Completion = (Result<PollResult, BusError>) -> Void

  init(
    files: SegmentFiles, loop: any LogLoop,
    onDamage: @escaping (PartitionLog, String) -> Void
  ) {
    self.files = files
    self.loop = loop
    self.onDamage = onDamage
  }

  /// `completion` never runs inside the call.
  func poll(_ request: PollRequest, _ log: PartitionLog, completion: @escaping Completion) {
    let seek = log.seek(request)
    let collector = RecordCollector(
      seek: seek, of: log, countMax: log.isBeyondEnd(seek) ? 0 : request.countMax,
      bytesMax: request.bytesMax)
    if collector.isFull || log.isInMemory(seek) {
      let result = log.collect(collector)
      return loop.enqueue { completion(result) }
    }
    start(SegmentRead(log: log, collector: collector, completion: completion))
  }

  // MARK: From segments

  private func start(_ read: SegmentRead) {
    switch read.collector.seek {
    case .offset(let offset):
      enter(read, segment: read.log.segments.lastIndex { $0.base <= offset } ?? 0)
    case .time(let time):
      findSegment(read, time, in: 0..<read.log.segments.count)
    }
  }

  private func enter(_ read: SegmentRead, segment index: Int) {
    read.index = index
    read.scan = SegmentScan(read.log, read.log.segments[index], read.collector)
    step(read)
  }

  /// Narrows down to the last segment that begins before `time`: the record wanted is in there, or
  /// is the next one's first.
  private func findSegment(_ read: SegmentRead, _ time: UInt64, in range: Range<Int>) {
    guard range.count > 1 else { return enter(read, segment: range.lowerBound) }
    let middle = (range.lowerBound + range.upperBound) / 2
    firstTime(read, read.log.segments[middle]) { [self] first in
      findSegment(
        read, time, in: first < time ? middle..<range.upperBound : range.lowerBound..<middle)
    }
  }

  /// Finds the append time of a segment's first record: read once, then in the index.
  private func firstTime(
    _ read: SegmentRead, _ segment: Segment, bytes: Int = LogLimits.blockBytes,
    _ body: @escaping (UInt64) -> Void
  ) {
    if let first = segment.index.entries.first { return body(first.time) }
    load(read, segment, at: 0, bytes: min(bytes, segment.size)) { [self] part, count in
      var walk = FrameWalk(
        part.bytes.slice(0..<count), topic: read.log.topicNumber,
        partition: UInt32(read.log.target.partition))
      switch walk.next() {
      case .frame(let frame) where walk.isWhole(frame):
        segment.index.note(
          base: frame.base, time: frame.time, position: 0, length: frame.range.count)
        body(frame.time)
      case .needs(let more) where more > bytes && more <= segment.size:
        firstTime(read, segment, bytes: more, body)
      default:
        fail(read, "\(segment.path) at byte 0: no frame begins here")
      }
    }
  }

  /// Reads the next part of the segment and takes what the poll wants of it.
  private func step(_ read: SegmentRead, bytes: Int = LogLimits.readBytes) {
    guard let scan = read.scan, scan.left > 0 else { return leave(read) }
    let wanted = min(max(bytes, LogLimits.readBytes), scan.left)
    load(read, scan.segment, at: scan.position, bytes: wanted) { [self] part, count in
      let outcome = read.scan!.take(part, count: count)
      read.collector = read.scan!.collector
      switch outcome {
      case .enough:
        read.completion(
          .success(PollResult(records: read.collector.records, endOffset: read.log.endOffset)))
      case .more where count < wanted:
        fail(read, "\(scan.segment.path) ends at byte \(scan.position + count)")
      case .more(let bytes): step(read, bytes: bytes)
      case .damaged(let reason): fail(read, reason)
      }
    }
  }

  /// The segment has nothing more: on to the next, or to memory.
  private func leave(_ read: SegmentRead) {
    if read.index + 1 < read.log.segments.count { return enter(read, segment: read.index + 1) }
    read.completion(read.log.collect(read.collector))
  }

  private func fail(_ read: SegmentRead, _ reason: String) {
    onDamage(read.log, reason)
    read.completion(.failure(.damaged(reason)))
  }

  private func load(
    _ read: SegmentRead, _ segment: Segment, at position: Int, bytes: Int,
    _ body: @escaping (SharedBytes, Int) -> Void
  ) {
    let file: any LoopFile
    do throws(StorageFailure) {
      file = try files.open(segment)
    } catch {
      return loop.enqueue { [self] in
        if error.kind == .notFound { return fail(read, error.description) }
        read.completion(.failure(.unavailable(error.description)))
      }
    }
    let buffer = pool.take(bytes)
    let part = pool.share(buffer)
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<bytes])
    file.read(at: position, into: target) { result in
      switch result {
      case .success(let count): body(part, count)
      case .failure(let failure):
        read.completion(.failure(.unavailable(failure.description)))
      }
    }
  }
}

/// A poll that is being answered from segment files.
private final class SegmentRead {
  let log: PartitionLog
  var collector: RecordCollector
  let completion: LogReader.Completion
  /// Which of the partition's segments `scan` is in.
  var index = 0
  var scan: SegmentScan?

  init(
    log: PartitionLog, collector: RecordCollector, completion: @escaping LogReader.Completion
  ) {
    self.log = log
    self.collector = collector
    self.completion = completion
  }
}
