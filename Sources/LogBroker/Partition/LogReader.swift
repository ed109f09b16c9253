import Base
import Events
import Iggy

/// Answers polls: from memory where the records are there, else with reads through the loop.
final class LogReader {
  private let files: SegmentFiles
  private let pool: BufferPool
  private let metrics: LogMetrics
  private let loop: any LogLoop
  /// Hears of damage that a read has found.
  private let onDamage: (PartitionLog, String) -> Void

  typealias Completion = (Result<PollResult, BusError>) -> Void

  init(
    files: SegmentFiles, pool: BufferPool, loop: any LogLoop, metrics: LogMetrics,
    onDamage: @escaping (PartitionLog, String) -> Void
  ) {
    self.files = files
    self.loop = loop
    self.metrics = metrics
    self.pool = pool
    self.onDamage = onDamage
  }

  /// `completion` never runs inside the call.
  func poll(_ request: PollRequest, _ log: PartitionLog, completion: @escaping Completion) {
    if let refusal = log.refusal(of: request) {
      return loop.enqueue { completion(.failure(refusal)) }
    }
    let seek = log.seek(request)
    let collector = RecordCollector(
      seek: seek, of: log, countMax: log.isBeyondEnd(seek) ? 0 : request.countMax,
      bytesMax: request.bytesMax)
    if collector.isFull || log.isInMemory(seek) {
      let result = log.collect(collector)
      return loop.enqueue { completion(result) }
    }
    start(SegmentRead(request, log, collector, completion: completion))
  }

  // MARK: From segments

  private func start(_ read: SegmentRead) {
    let segments = read.log.segments
    switch read.collector.seek {
    case .offset(let offset):
      enter(read, segments.last { $0.base <= offset } ?? segments[0])
    case .time(let time):
      // One that was only made ready has no first record to look at, and what recovery found of
      // one may be in memory alone.
      let filled = segments.filter { $0.size > 0 && $0.base < read.log.tailBase }
      guard !filled.isEmpty else { return leave(read) }
      findSegment(read, time, in: filled[...])
    }
  }

  private func enter(_ read: SegmentRead, _ segment: Segment) {
    read.scan = SegmentScan(read.log, segment, read.collector)
    step(read)
  }

  /// Narrows down to the last segment that begins before `time`: the record wanted is in there, or
  /// is the next one's first.
  private func findSegment(_ read: SegmentRead, _ time: UInt64, in segments: ArraySlice<Segment>) {
    guard segments.count > 1 else { return enter(read, segments[segments.startIndex]) }
    let middle = segments.startIndex + segments.count / 2
    firstTime(read, segments[middle]) { [self] first in
      findSegment(read, time, in: first < time ? segments[middle...] : segments[..<middle])
    }
  }

  /// Finds the append time of a segment's first record: read once, then in the index.
  private func firstTime(
    _ read: SegmentRead, _ segment: Segment, bytes: Int = LogLimits.blockBytes,
    _ body: @escaping (UInt64) -> Void
  ) {
    if segment.firstTime > 0 { return body(segment.firstTime) }
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
    if let base = read.scan?.segment.base,
      let next = read.log.segments.first(where: { $0.base > base }),
      next.base < read.log.tailBase
    {
      return enter(read, next)
    }
    read.completion(read.log.collect(read.collector))
  }

  private func fail(_ read: SegmentRead, _ reason: String) {
    onDamage(read.log, reason)
    read.completion(.failure(.damaged(reason)))
  }

  /// Why no more can be read now: memory that readers hold is bounded.
  private func refusal(of bytes: Int) -> BusError? {
    guard pool.leasedBytes + bytes > LogLimits.leasedBytesMax else { return nil }
    metrics.leasesExceeded.add()
    return .leaseExceeded("readers hold \(pool.leasedBytes) bytes already")
  }

  private func load(
    _ read: SegmentRead, _ segment: Segment, at position: Int, bytes: Int,
    _ body: @escaping (SharedBytes, Int) -> Void
  ) {
    // Retention took it away meanwhile: the poll begins anew.
    if segment.isGone { return poll(read.request, read.log, completion: read.completion) }
    if let refusal = refusal(of: bytes) {
      return loop.enqueue { read.completion(.failure(refusal)) }
    }
    segment.readers += 1
    files.open(segment) { [self] opened in
      guard case .success(let file) = opened else {
        segment.readers -= 1
        return loop.enqueue { [self] in failed(read, segment, opened) }
      }
      let buffer = pool.take(bytes)
      let part = pool.share(buffer)
      let target = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<bytes])
      file.read(at: position, into: target) { result in
        segment.readers -= 1
        switch result {
        case .success(let count): body(part, count)
        case .failure(let failure):
          read.completion(.failure(.unavailable(failure.description)))
        }
      }
    }
  }

  /// A segment could not be opened.
  private func failed(
    _ read: SegmentRead, _ segment: Segment, _ opened: Result<any LoopFile, StorageFailure>
  ) {
    // Retention took it away meanwhile: the poll begins anew.
    if segment.isGone { return poll(read.request, read.log, completion: read.completion) }
    guard case .failure(let failure) = opened else { return }
    if failure.kind == .notFound { return fail(read, failure.description) }
    read.completion(.failure(.unavailable(failure.description)))
  }
}

/// A poll that is being answered from segment files.
private final class SegmentRead {
  let request: PollRequest
  let log: PartitionLog
  var collector: RecordCollector
  let completion: LogReader.Completion
  var scan: SegmentScan?

  init(
    _ request: PollRequest, _ log: PartitionLog, _ collector: RecordCollector,
    completion: @escaping LogReader.Completion
  ) {
    self.request = request
    self.log = log
    self.collector = collector
    self.completion = completion
  }
}
