import Base
import Events

/// Answers polls: from memory where the records are there, else with reads through the loop.
final class LogReader {
  private let files: SegmentFiles
  private let pool = BufferPool()
  private let enqueue: (@escaping () -> Void) -> Void
  /// Hears of damage that a read has found.
  private let onDamage: (PartitionLog, String) -> Void

  typealias Completion = (Result<PollResult, BusError>) -> Void

  init(
    files: SegmentFiles, enqueue: @escaping (@escaping () -> Void) -> Void,
    onDamage: @escaping (PartitionLog, String) -> Void
  ) {
    self.files = files
    self.enqueue = enqueue
    self.onDamage = onDamage
  }

  /// `completion` never runs inside the call.
  func poll(_ request: PollRequest, _ log: PartitionLog, completion: @escaping Completion) {
    let seek = Self.seek(request, log)
    let isBeyond =
      switch seek {
      case .offset(let offset): offset >= log.endOffset
      case .time(let time): time > log.lastTime
      }
    if isBeyond || request.countMax <= 0 {
      let end = log.endOffset
      return enqueue { completion(.success(PollResult(records: [], endOffset: end))) }
    }
    let collector = RecordCollector(
      seek: seek, countMax: request.countMax, bytesMax: request.bytesMax)
    if Self.isInMemory(seek, log) {
      let result = collect(collector, seek, fromMemoryOf: log)
      return enqueue { completion(result) }
    }
    let read = SegmentRead(log: log, seek: seek, collector: collector, completion: completion)
    // Finding the segment for a time may need reads of its own.
    start(read)
  }

  private static func seek(_ request: PollRequest, _ log: PartitionLog) -> Seek {
    let first = log.firstOffset
    switch request.start {
    case .first: return .offset(first)
    case .offset(let offset): return .offset(max(first, offset))
    case .timestamp(let time): return .time(UInt64(clamping: time.microseconds))
    case .last:
      let count = UInt64(clamping: request.countMax)
      return .offset(log.endOffset - min(log.endOffset - first, count))
    }
  }

  private static func isInMemory(_ seek: Seek, _ log: PartitionLog) -> Bool {
    switch seek {
    case .offset(let offset): offset >= log.tailBase
    // The segments' records are all older.
    case .time(let time): log.segments.isEmpty || time > log.flushedTime
    }
  }

  private func collect(
    _ collector: RecordCollector, _ seek: Seek, fromMemoryOf log: PartitionLog
  ) -> Result<PollResult, BusError> {
    var collector = collector
    for chunk in log.tail where !collector.isFull {
      let first = chunk.firstFrame(for: seek)
      guard first < chunk.frames.count else { continue }
      let memory = UnsafeRawBufferPointer(rebasing: chunk.memory[0..<chunk.used])
      // The chunk lives as long as somebody holds its bytes.
      let shared = SharedBytes(memory) { _ in withExtendedLifetime(chunk) {} }
      for index in first..<chunk.frames.count where !collector.isFull {
        let start = chunk.frames[index].position + FrameHeader.length
        do throws(RecordCollector.Problem) {
          try collector.add(shared, batch: start..<chunk.frameEnd(index))
        } catch {
          return .failure(.damaged("\(log.directory): \(error)"))
        }
      }
    }
    return .success(PollResult(records: collector.records, endOffset: log.endOffset))
  }

  // MARK: From segments

  private func start(_ read: SegmentRead) {
    switch read.seek {
    case .offset(let offset):
      let index = read.log.segments.lastIndex { $0.base <= offset } ?? 0
      enter(read, segment: index)
    case .time(let time):
      findSegment(read, time, in: 0..<read.log.segments.count)
    }
  }

  private func enter(_ read: SegmentRead, segment index: Int) {
    read.segment = index
    read.position = read.log.segments[index].index.position(for: read.seek)
    step(read)
  }

  /// Narrows down to the last segment that begins before `time`; records at `time` or after it may
  /// begin in the middle of that one.
  private func findSegment(_ read: SegmentRead, _ time: UInt64, in range: Range<Int>) {
    guard range.count > 1 else { return enter(read, segment: range.lowerBound) }
    let middle = (range.lowerBound + range.upperBound) / 2
    let narrow = { [self] (first: UInt64) in
      findSegment(
        read, time,
        in: first < time ? middle..<range.upperBound : range.lowerBound..<middle)
    }
    let segment = read.log.segments[middle]
    if let first = segment.index.entries.first { return narrow(first.time) }
    load(read, segment, at: 0, bytes: LogLimits.blockBytes) { [self] buffer, count in
      defer { pool.giveBack(buffer) }
      var walk = self.walk(buffer, count, read.log)
      switch walk.next() {
      case .frame(let frame): narrow(frame.time)
      case .needs(let bytes) where bytes > count:
        readFirst(read, segment, bytes: bytes, narrow)
      default: damaged(read, segment, at: 0, "no frame begins here")
      }
    }
  }

  private func readFirst(
    _ read: SegmentRead, _ segment: Segment, bytes: Int, _ narrow: @escaping (UInt64) -> Void
  ) {
    load(read, segment, at: 0, bytes: bytes) { [self] buffer, count in
      defer { pool.giveBack(buffer) }
      var walk = self.walk(buffer, count, read.log)
      guard case .frame(let frame) = walk.next() else {
        return damaged(read, segment, at: 0, "no frame begins here")
      }
      narrow(frame.time)
    }
  }

  /// Reads the next part of the segment and takes what the poll wants of it.
  private func step(_ read: SegmentRead, bytes: Int = LogLimits.readBytes) {
    let segment = read.log.segments[read.segment]
    let left = segment.size - read.position
    guard left > 0 else { return leave(read) }
    load(read, segment, at: read.position, bytes: min(bytes, left)) { [self] buffer, count in
      guard count > 0 else {
        pool.giveBack(buffer)
        return damaged(read, segment, at: read.position, "the file ends too early")
      }
      scan(read, segment, buffer, count)
    }
  }

  private func scan(
    _ read: SegmentRead, _ segment: Segment, _ buffer: UnsafeMutableRawBufferPointer, _ count: Int
  ) {
    let shared = pool.share(buffer)
    var walk = self.walk(buffer, count, read.log)
    let start = read.position
    while !read.collector.isFull {
      switch walk.next() {
      case .frame(let frame):
        segment.index.note(
          base: frame.base, time: frame.time, position: start + frame.range.lowerBound,
          length: frame.range.count)
        read.position = start + frame.range.upperBound
        guard read.seek.isReached(base: frame.base, count: frame.count, time: frame.time)
        else { continue }
        if let reason = take(frame, walk, shared, read) {
          return damaged(read, segment, at: start + frame.range.lowerBound, reason)
        }
      case .needs(let bytes):
        if !read.collector.records.isEmpty { return finish(read) }
        if start + walk.at + bytes > segment.size {
          return damaged(read, segment, at: start + walk.at, "the frame here is cut off")
        }
        return step(read, bytes: max(bytes, LogLimits.readBytes))
      case .end:
        return read.collector.records.isEmpty ? step(read) : finish(read)
      case .damaged(let reason):
        return damaged(read, segment, at: start + walk.at, reason)
      }
    }
    finish(read)
  }

  /// Returns why the frame's records cannot be taken; nil when they were.
  private func take(
    _ frame: FrameWalk.Frame, _ walk: FrameWalk, _ shared: SharedBytes, _ read: SegmentRead
  ) -> String? {
    guard walk.isWhole(frame) else { return "the frame here is not what was written" }
    do throws(RecordCollector.Problem) {
      try read.collector.add(shared, batch: frame.body)
    } catch {
      return "\(error)"
    }
    return nil
  }

  /// The segment has nothing more: on to the next, or to memory.
  private func leave(_ read: SegmentRead) {
    if read.segment + 1 < read.log.segments.count {
      return enter(read, segment: read.segment + 1)
    }
    read.completion(collect(read.collector, read.seek, fromMemoryOf: read.log))
  }

  private func finish(_ read: SegmentRead) {
    read.completion(
      .success(PollResult(records: read.collector.records, endOffset: read.log.endOffset)))
  }

  /// Records before the damage are answered; a poll that begins at it gets the reason.
  private func damaged(_ read: SegmentRead, _ segment: Segment, at position: Int, _ reason: String)
  {
    if !read.collector.records.isEmpty { return finish(read) }
    let text = "\(segment.path) at byte \(position): \(reason)"
    onDamage(read.log, text)
    read.completion(.failure(.damaged(text)))
  }

  private func load(
    _ read: SegmentRead, _ segment: Segment, at position: Int, bytes: Int,
    _ body: @escaping (UnsafeMutableRawBufferPointer, Int) -> Void
  ) {
    let file: any LoopFile
    do throws(StorageFailure) {
      file = try files.open(segment)
    } catch {
      if error.kind == .notFound {
        onDamage(read.log, error.description)
        return enqueue { read.completion(.failure(.damaged(error.description))) }
      }
      return enqueue { read.completion(.failure(.unavailable(error.description))) }
    }
    let buffer = pool.take(bytes)
    file.read(at: position, into: buffer.prefixBytes(bytes)) { [self] result in
      switch result {
      case .success(let count): body(buffer, count)
      case .failure(let failure):
        pool.giveBack(buffer)
        read.completion(.failure(.unavailable(failure.description)))
      }
    }
  }

  private func walk(
    _ buffer: UnsafeMutableRawBufferPointer, _ count: Int, _ log: PartitionLog
  ) -> FrameWalk {
    FrameWalk(
      UnsafeRawBufferPointer(buffer.prefixBytes(count)), topic: log.topicNumber,
      partition: UInt32(log.target.partition))
  }
}

/// A poll that is being answered from segment files.
private final class SegmentRead {
  let log: PartitionLog
  let seek: Seek
  var collector: RecordCollector
  let completion: LogReader.Completion
  /// Index of the segment, and where in it the next read begins.
  var segment = 0
  var position = 0

  init(
    log: PartitionLog, seek: Seek, collector: RecordCollector,
    completion: @escaping LogReader.Completion
  ) {
    self.log = log
    self.seek = seek
    self.collector = collector
    self.completion = completion
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate func prefixBytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: self[0..<count])
  }
}
