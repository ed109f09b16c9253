import Base
import Events

/// Answers polls for whole batches, without a copy: out of the partition's memory, out of a
/// segment's mapping where the page cache has it, else out of a buffer that is read through the
/// loop; only what is enciphered is given elsewhere. A frame is compared with its checksum the first
/// time it is met.
final class BatchReader {
  private let files: SegmentFiles
  private let pool: BufferPool
  private let metrics: LogMetrics
  private let loop: any LogLoop
  /// Hears of damage that a read has found.
  private let onDamage: (PartitionLog, String) -> Void

  typealias Completion = (Result<PolledBatches, BusError>) -> Void

  init(
    files: SegmentFiles, pool: BufferPool, loop: any LogLoop, metrics: LogMetrics,
    onDamage: @escaping (PartitionLog, String) -> Void
  ) {
    self.files = files
    self.pool = pool
    self.loop = loop
    self.metrics = metrics
    self.onDamage = onDamage
  }

  /// One poll.
  private struct Poll {
    let log: PartitionLog
    let offset: UInt64
    let bytesMax: Int
    let completion: Completion

    func succeed(_ batches: [PolledBatch]) {
      completion(.success(PolledBatches(batches: batches, endOffset: log.endOffset)))
    }
  }

  /// Where a poll goes on in a segment.
  private struct Place {
    let segment: Segment
    var position: Int
    /// The offset of the next frame; nil where that is not known.
    var expected: UInt64?

    var left: Int { segment.size - position }
  }

  /// `completion` never runs inside the call.
  func poll(
    _ log: PartitionLog, from offset: UInt64, bytesMax: Int, completion: @escaping Completion
  ) {
    let poll = Poll(log: log, offset: offset, bytesMax: bytesMax, completion: completion)
    loop.enqueue { [self] in begin(poll) }
  }

  private func begin(_ poll: Poll) {
    let log = poll.log
    let request = PollRequest(
      log.target, from: .offset(poll.offset), countMax: .max, bytesMax: poll.bytesMax)
    if let refusal = log.refusal(of: request) { return poll.completion(.failure(refusal)) }
    let seek = log.seek(request)
    guard case .offset(let offset) = seek, !log.isBeyondEnd(seek) else { return poll.succeed([]) }
    if log.isInMemory(seek) { return collectTail(poll, from: offset) }
    let segment = log.segments.last { $0.base <= offset } ?? log.segments[0]
    enter(poll, segment, offset)
  }

  private func enter(_ poll: Poll, _ segment: Segment, _ offset: UInt64) {
    step(
      poll, Place(segment: segment, position: segment.index.position(for: .offset(offset))), offset)
  }

  /// The segment has nothing more: on to the next, or to memory.
  private func leave(_ poll: Poll, _ place: Place, _ offset: UInt64) {
    if let next = poll.log.segments.first(where: { $0.base > place.segment.base }),
      next.base < poll.log.tailBase
    {
      return enter(poll, next, offset)
    }
    collectTail(poll, from: offset)
  }

  private func collectTail(_ poll: Poll, from offset: UInt64) {
    do throws(BatchCipher.Problem) {
      let batches = try poll.log.tailBatches(from: offset, bytesMax: poll.bytesMax)
      guard let batches, !batches.isEmpty || poll.log.isBeyondEnd(.offset(offset)) else {
        return fail(poll, "\(poll.log.directory): records are missing at its end")
      }
      poll.succeed(batches)
    } catch { fail(poll, "\(poll.log.directory): \(error)") }
  }

  private func fail(_ poll: Poll, _ reason: String) {
    onDamage(poll.log, reason)
    poll.completion(.failure(.damaged(reason)))
  }

  // MARK: Segments

  /// Looks at the next part of the segment, at least `bytes` of it.
  private func step(_ poll: Poll, _ place: Place, _ offset: UInt64, bytes: Int = 0) {
    // Retention took it away meanwhile: the poll begins anew.
    if place.segment.isGone { return begin(poll) }
    guard place.left > 0 else { return leave(poll, place, offset) }
    let wanted = min(max(bytes, poll.bytesMax + Self.frameRoom, LogLimits.readBytes), place.left)
    let range = place.position..<place.position + wanted
    place.segment.readers += 1
    files.open(place.segment) { [self] opened in
      place.segment.readers -= 1
      switch opened {
      case .failure(let failure): refuse(poll, place, failure)
      case .success(let file):
        if let mapping = files.mapping(of: place.segment, file, upTo: range.upperBound),
          mapping.isResident(range)
        {
          return take(poll, place, offset, mapping, range)
        }
        load(poll, place, offset, file, bytes: wanted)
      }
    }
  }

  /// Out of the mapping, which stays what it is while somebody holds a piece of it.
  private func take(
    _ poll: Poll, _ place: Place, _ offset: UInt64, _ mapping: MappedFile, _ range: Range<Int>
  ) {
    let segment = place.segment
    let part = UnsafeRawBufferPointer(rebasing: mapping.bytes[range])
    take(poll, place, offset, part) { found in
      segment.leases += 1
      let piece = SharedBytes(UnsafeRawBufferPointer(rebasing: part[found])) { _ in
        segment.leases -= 1
        withExtendedLifetime(mapping) {}
      }
      return (piece, found.lowerBound)
    }
  }

  /// A segment could not be opened.
  private func refuse(_ poll: Poll, _ place: Place, _ failure: StorageFailure) {
    // Retention took it away meanwhile: the poll begins anew.
    if place.segment.isGone { return loop.enqueue { [self] in begin(poll) } }
    if failure.kind == .notFound { return fail(poll, failure.description) }
    poll.completion(.failure(.unavailable(failure.description)))
  }

  /// What a batch takes beside what is asked for, mostly.
  private static let frameRoom = 64 << 10

  private func load(
    _ poll: Poll, _ place: Place, _ offset: UInt64, _ file: any LoopFile, bytes: Int
  ) {
    guard pool.leasedBytes + bytes <= LogLimits.leasedBytesMax else {
      metrics.leasesExceeded.add()
      let reason = "readers hold \(pool.leasedBytes) bytes already"
      return poll.completion(.failure(.leaseExceeded(reason)))
    }
    let buffer = pool.take(bytes)
    let part = pool.share(buffer)
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<bytes])
    place.segment.readers += 1
    file.read(at: place.position, into: target) { [self] result in
      place.segment.readers -= 1
      switch result {
      case .success(let count) where count == bytes:
        take(poll, place, offset, UnsafeRawBufferPointer(target)) { _ in (part, 0) }
      case .success(let count):
        fail(poll, "\(place.segment.path) ends at byte \(place.position + count)")
      case .failure(let failure):
        poll.completion(.failure(.unavailable(failure.description)))
      }
    }
  }

  /// Takes what is wanted out of `part`, which stands at the place. `lease` makes a range of it
  /// last, and says where in the part that begins.
  private func take(
    _ poll: Poll, _ place: Place, _ offset: UInt64, _ part: UnsafeRawBufferPointer,
    lease: (Range<Int>) -> (SharedBytes, Int)
  ) {
    var place = place
    let start = place.position
    var collector = BatchCollector(from: offset, of: poll.log, bytesMax: poll.bytesMax)
    var walk = FrameWalk(
      part, topic: poll.log.topicNumber, partition: UInt32(poll.log.target.partition),
      origin: start, expected: place.expected)
    var more = 0
    walking: while !collector.isFull {
      switch walk.next() {
      case .frame(let frame):
        if let reason = check(frame, in: walk, place.segment)
          ?? (collector.take(base: frame.base, count: frame.count, body: frame.body)
            ? nil : "offset \(collector.expected) is missing")
        {
          guard collector.found.isEmpty else { break walking }
          let at = start + frame.range.lowerBound
          return fail(poll, "\(place.segment.path) at byte \(at): \(reason)")
        }
        place.position = start + frame.range.upperBound
        place.expected = walk.expected
      case .needs(let bytes):
        guard collector.found.isEmpty else { break walking }
        guard bytes <= place.left else {
          return fail(
            poll, "\(place.segment.path) at byte \(place.position): the frame here is cut off")
        }
        more = bytes
        break walking
      case .end:
        place.position = start + walk.at
        break walking
      case .damaged(let reason):
        guard collector.found.isEmpty else { break walking }
        return fail(poll, "\(place.segment.path) at byte \(place.position): \(reason)")
      }
    }
    guard !collector.found.isEmpty else {
      // Others have a turn while a long way is gone.
      return loop.enqueue { [self] in step(poll, place, offset, bytes: more) }
    }
    do throws(BatchCipher.Problem) {
      poll.succeed(try collector.batches(of: poll.log, in: part, lease: lease))
    } catch { fail(poll, "\(place.segment.path): \(error)") }
  }

  /// Why the frame is not what was written; nil when it is.
  private func check(
    _ frame: FrameWalk.Frame, in walk: FrameWalk, _ segment: Segment
  ) -> String? {
    let range = frame.range.lowerBound + walk.origin..<frame.range.upperBound + walk.origin
    if segment.checked.contains(range) { return nil }
    guard walk.isWhole(frame) else { return "the frame here is not what was written" }
    segment.checked.insert(range)
    segment.index.note(
      base: frame.base, time: frame.time, position: range.lowerBound, length: range.count)
    return nil
  }
}

extension PartitionLog {
  /// Batches that are in memory, from `offset` on; nil where records between are missing.
  fileprivate func tailBatches(
    from offset: UInt64, bytesMax: Int
  ) throws(BatchCipher.Problem) -> [PolledBatch]? {
    var batches: [PolledBatch] = []
    var left = bytesMax
    var next = offset
    for chunk in tail where left > 0 || batches.isEmpty {
      var collector = BatchCollector(from: next, of: self, bytesMax: max(1, left))
      let first = chunk.firstFrame(for: .offset(next))
      for index in first..<chunk.frames.count where !collector.isFull {
        let frame = chunk.frames[index]
        let body = frame.position + FrameHeader.length..<chunk.frameEnd(index)
        guard collector.take(base: frame.base, count: frame.count, body: body) else {
          return batches.isEmpty ? nil : batches
        }
      }
      guard !collector.found.isEmpty else { continue }
      let memory = UnsafeRawBufferPointer(rebasing: chunk.memory[0..<chunk.used])
      batches += try collector.batches(of: self, in: memory) { _ in
        // The chunk lives as long as somebody holds its bytes.
        (SharedBytes(memory) { _ in withExtendedLifetime(chunk) {} }, 0)
      }
      left -= collector.found.reduce(0) { $0 + $1.body.count }
      next = collector.expected
    }
    return batches
  }
}
