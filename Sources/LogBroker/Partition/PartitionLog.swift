import Base
import Events
import Iggy

/// One partition: segment files, and behind them the records that are only in the journal and in
/// memory. What a commit has not made durable is not in here.
final class PartitionLog {
  let target: TopicPartition
  /// The topic's number in the catalog.
  let topicNumber: UInt16
  let directory: String
  let settings: TopicSettings
  /// What batches are enciphered with; nil for not at all.
  let cipher: BatchCipher?

  /// Made since the log was opened, or found.
  var hasDirectory = false
  /// By base offset.
  var segments: [Segment] = []
  /// By offset; begins with what is flushed already but kept for readers.
  private(set) var tail: [TailChunk] = []

  /// The first offset there is.
  private(set) var firstOffset: UInt64 = 0
  /// Offsets that no record has or will have, ascending: skipped after a power loss.
  private(set) var gaps: [Range<UInt64>] = []
  /// Offsets that may be given out without a sync.
  var reservation: OffsetReservation?
  /// Of message ids, where the topic has one.
  var deduplication: DeduplicationWindow?
  /// Retention has asked for a cut here.
  var askedCut: UInt64 = 0
  /// Segments that are cut off, and whose files are there until a checkpoint no longer names them.
  var cutSegments: [Segment] = []
  /// Files beside those of segments that go likewise.
  var stalePaths: [String] = []
  /// The offset the next record gets.
  private(set) var endOffset: UInt64 = 0
  /// The same, counting the group that is being committed.
  var mintedOffset: UInt64 = 0
  /// Append time of the last record, µs.
  private(set) var lastTime: UInt64 = 0
  /// Header checksum of the last frame.
  private(set) var chain: UInt32 = 0
  /// Of the records in segment files, the offset after the last one, and its append time.
  private(set) var flushedEnd: UInt64 = 0
  private(set) var flushedTime: UInt64 = 0
  private(set) var flushedChain: UInt32 = 0
  /// The same for records that are durable there.
  var syncedEnd: UInt64 = 0
  var syncedTime: UInt64 = 0
  var syncedChain: UInt32 = 0
  private(set) var unflushedBytes = 0
  /// The offset after the last record in memory or in a segment.
  private(set) var recordsEnd: UInt64 = 0

  /// Why the partition takes no records any more.
  var damage: String?
  var isFlushing = false
  var flushWaiters: [FlushWaiter] = []
  private var watches: [PartitionWatch] = []
  /// Segments that began, as far as is known, behind what recovery has found so far.
  var announced: [SegmentRecord] = []
  /// Segments that the journal says began behind what recovery has found: they came to nothing, or
  /// something before them is gone.
  var unreached: [SegmentRecord] = []
  /// The journal says that records before this offset were durable.
  var knownEnd: UInt64 = 0
  /// Direct writes under way, by offset.
  var directs = DirectQueue()
  /// Of the look at what is pending that goes on.
  var mark = CommitOrder.Mark.none

  struct FlushWaiter {
    var target: UInt64
    /// Wants it durable.
    var isSettling: Bool
    var completion: (Result<Void, CommitFailure>) -> Void
  }

  init(
    target: TopicPartition, topicNumber: UInt16, settings: TopicSettings, cipher: BatchCipher?
  ) {
    self.settings = settings
    self.cipher = cipher
    if let window = settings.deduplicationWindow {
      deduplication = DeduplicationWindow(
        span: UInt64(clamping: window.microseconds), idsMax: LogLimits.deduplicationIDsMax)
    }
    self.target = target
    self.topicNumber = topicNumber
    directory = "log/\(target.topic.path)/\(target.partition)"
  }

  /// Records from here on are in memory.
  var tailBase: UInt64 { tail.first?.frames.first?.base ?? endOffset }
  var bytes: Int { segments.reduce(unflushedBytes) { $0 + $1.size } }
  var needsCheckpoint: Bool { unflushedBytes > 0 || segments.contains { $0.isDirty } }
  /// Whether a checkpoint has something to say about it.
  var isWorthSaving: Bool {
    syncedEnd > 0 || firstOffset > 0 || !gaps.isEmpty || reservation != nil
      || segments.contains { $0.isSettled }
  }
  var recordCount: Int {
    gaps.reduce(Int(endOffset - firstOffset)) { $0 - $1.clamped(to: firstOffset..<endOffset).count }
  }

  /// Takes over what a checkpoint says is in the segments.
  func restore(_ saved: Checkpoint.Partition) {
    announced = saved.segments.filter { $0.base > saved.end }.map {
      SegmentRecord(base: $0.base, id: $0.id)
    }
    segments = saved.segments.filter { $0.base <= saved.end }.map { saved in
      let segment = Segment(base: saved.base, directory: directory, size: saved.size, id: saved.id)
      // Without synced bytes there is no first record that is sure to be there.
      segment.firstTime = saved.size > 0 ? saved.firstTime : 0
      segment.openedAt = saved.openedAt
      segment.writtenAt = saved.writtenAt
      segment.packedBytes = saved.packedBytes
      segment.isClosed = segment.isPacked
      return segment
    }
    for segment in segments {
      segment.isRecording = true
      segment.isRecorded = true
      segment.isNamed = true
    }
    segments.last?.needsTruncation = segments.last.map { $0.id == 0 && !$0.isPacked } ?? false
    firstOffset = saved.start
    gaps = saved.gaps
    reservation = saved.reservation
    // Records between `end` and `start` are in the journal still.
    endOffset = max(saved.end, saved.gaps.last?.upperBound ?? 0)
    mintedOffset = endOffset
    lastTime = saved.time
    recordsEnd = saved.end
    flushedEnd = saved.end
    flushedTime = saved.time
    syncedEnd = saved.end
    syncedTime = saved.time
    chain = saved.chain
    flushedChain = saved.chain
    syncedChain = saved.chain
  }

  /// Adds a committed frame.
  func append(_ frame: UnsafeRawBufferPointer, base: UInt64, count: UInt32, time: UInt64) {
    precondition(base == endOffset, "records of \(directory) would not be dense")
    if !isRoomInTail(for: frame.count) { addChunk(for: frame.count) }
    tail[tail.count - 1].append(frame, base: base, count: count, time: time)
    advance(frame, base: base, count: count, time: time)
    mintedOffset = endOffset
    unflushedBytes += frame.count
  }

  private func advance(
    _ frame: UnsafeRawBufferPointer, base: UInt64, count: UInt32, time: UInt64
  ) {
    endOffset = base + UInt64(count)
    recordsEnd = endOffset
    lastTime = time
    chain = frame.littleEndian(at: 60)
  }

  private func isRoomInTail(for length: Int) -> Bool {
    guard let last = tail.last, !last.isDirect, last.place == nil else { return false }
    return last.room >= length
  }

  /// Adds a frame that is durable in its segment, up to `end`; `owner` keeps its memory.
  func appendDirect(
    _ frame: UnsafeMutableRawBufferPointer, _ place: TailChunk.Frame, in segment: Segment,
    at position: Int, end: Int, owner: AnyObject, stamp: UInt64
  ) -> TailChunk {
    precondition(
      place.base == endOffset && unflushedBytes == 0, "records of \(directory) would not be dense")
    // What stays in memory must have no holes.
    tail.removeFirst(1 + (tail.lastIndex { !$0.isDirect } ?? -1))
    let chunk = TailChunk(frame, place, owner: owner)
    chunk.flushed = frame.count
    tail.append(chunk)
    advance(
      UnsafeRawBufferPointer(frame), base: place.base, count: place.count, time: place.time)
    mintedOffset = max(mintedOffset, endOffset)
    flushedEnd = endOffset
    flushedTime = place.time
    flushedChain = chain
    segment.index.note(
      base: place.base, time: place.time, position: position, length: frame.count)
    segment.noteTime(place.time, stamp: stamp)
    segment.size = end
    return chunk
  }

  /// Adds a frame that recovery found in `segment`; it stays in memory until it has been flushed with
  /// what is before it.
  func appendFound(
    _ frame: UnsafeMutableRawBufferPointer, _ place: TailChunk.Frame, in segment: Segment,
    at position: Int, owner: AnyObject
  ) {
    let chunk = TailChunk(frame, place, owner: owner)
    chunk.place = (segment, position)
    // When it was written is not known: younger than what the checkpoint says, in any case.
    segment.writtenAt = 0
    tail.append(chunk)
    advance(
      UnsafeRawBufferPointer(frame), base: place.base, count: place.count, time: place.time)
    mintedOffset = endOffset
    unflushedBytes += frame.count
  }

  /// Lets go of the memory of `chunk`, and of what is before it.
  func dropDirect(_ chunk: TailChunk) {
    guard let index = tail.firstIndex(where: { $0 === chunk }) else { return }
    tail.removeFirst(index + 1)
  }

  /// Records are missing: what comes next begins at `base`. Readers of what is missing are told, or
  /// led over it when it `isKnown` why.
  func leaveGap(upTo base: UInt64, isKnown: Bool = false) {
    if isKnown { gaps.append(endOffset..<base) }
    endOffset = base
    mintedOffset = base
  }

  /// Nothing more is written to the files there are: something in them is not what was written, and
  /// what stands behind that may be whole.
  func closeSegments() { segments.last?.isClosed = true }

  /// Adds a segment, in the place of one that begins with the same offset and holds nothing.
  func add(_ segment: Segment) {
    if let last = segments.last, last.base == segment.base, last.size == 0 {
      segments.removeLast()
    }
    segments.append(segment)
  }

  /// Whether a record written at the time `stamp` (µs) begins the next segment.
  func isFull(_ segment: Segment, _ limits: LogLimits, stamp: UInt64) -> Bool {
    if segment.isDamaged || segment.isClosed { return true }
    if segment.size >= settings.segmentBytes ?? limits.segmentBytesMax { return true }
    guard let age = settings.segmentAge, segment.size > 0 else { return false }
    return stamp > segment.openedAt && segment.openedAt > 0
      && stamp - segment.openedAt > UInt64(clamping: age.microseconds)
  }

  /// Records below `offset` are no longer there for readers.
  func cut(to offset: UInt64) {
    guard offset > firstOffset else { return }
    firstOffset = min(offset, endOffset)
    gaps.removeAll { $0.upperBound <= firstOffset }
    while segments.count > 1, segments[1].base <= firstOffset {
      dropFirst(end: segments[1].base, chain: segments[1].chainBefore)
    }
    // One with direct writes stays: whoever recovers has to find it the same.
    if segments.count == 1, segments[0].size > 0, segments[0].id == 0, flushedEnd <= firstOffset,
      !isFlushing, !tail.contains(where: { $0.place != nil })
    {
      dropFirst(end: flushedEnd, chain: flushedChain)
    }
  }

  /// What ends at `end` needs no sync any more.
  private func dropFirst(end: UInt64, chain: UInt32) {
    let segment = segments.removeFirst()
    cutSegments.append(segment)
    if settings.compression != .none, !segment.isPacked {
      // A copy that no checkpoint came to name.
      stalePaths.append(SegmentPacker.packedPath(segment.path))
    }
    guard syncedEnd < end else { return }
    syncedEnd = end
    syncedChain = chain
    syncedTime = max(syncedTime, min(flushedTime, lastTime))
  }

  func takeCutSegments() -> [Segment] {
    defer { cutSegments = [] }
    return cutSegments
  }

  func takeStalePaths() -> [String] {
    defer { stalePaths = [] }
    return stalePaths
  }

  /// Chunks double from 4 to 64 KiB: most partitions hold little.
  private func addChunk(for length: Int) {
    let last = tail.last.flatMap { $0.isDirect ? nil : $0.memory.count }
    let doubled = (last ?? 2_048) * 2
    dropFlushed()
    tail.append(TailChunk(capacity: max(length, min(doubled, 64 << 10))))
  }

  /// The next bytes to write to a segment file.
  var unflushedChunk: TailChunk? { tail.first { $0.unflushed > 0 } }

  /// Where the unflushed part of `chunk` goes in `segment`.
  func flushPosition(_ chunk: TailChunk, in segment: Segment) -> Int {
    chunk.place.map { $0.position + chunk.flushed } ?? segment.size
  }

  /// `chunk` has been written to `segment` up to `end`, at the time `stamp` (µs).
  func didFlush(_ chunk: TailChunk, to segment: Segment, upTo end: Int, stamp: UInt64) {
    let start = flushPosition(chunk, in: segment) - chunk.flushed
    for (index, frame) in chunk.frames.enumerated()
    where frame.position >= chunk.flushed && frame.position < end {
      segment.index.note(
        base: frame.base, time: frame.time, position: start + frame.position,
        length: chunk.frameEnd(index) - frame.position)
      segment.noteTime(frame.time, stamp: stamp)
      flushedEnd = frame.base + UInt64(frame.count)
      flushedTime = frame.time
      flushedChain = chunk.checksum(index)
    }
    segment.size = start + end
    if chunk.isDirect { segment.size = GroupWriter.roundedToBlock(segment.size) }
    unflushedBytes -= end - chunk.flushed
    chunk.flushed = end
    dropFlushed()
  }

  /// Lets go of chunks that are in the segment files; a small last one stays for readers at the
  /// end.
  private func dropFlushed() {
    while let chunk = tail.first, chunk.unflushed == 0, !chunk.isDirect || chunk.place != nil,
      tail.count > 1 || chunk.memory.count > Self.keptBytesMax
    {
      tail.removeFirst()
    }
  }

  /// A flushed chunk of up to this many bytes is kept per partition.
  private static let keptBytesMax = 16 << 10
}

// MARK: - Watching

extension PartitionLog {
  func watch(_ body: @escaping () -> Void) -> any Cancellable {
    let watch = PartitionWatch(body)
    watches.removeAll { $0.body == nil }
    watches.append(watch)
    return watch
  }

  func notify() {
    // A body may add or cancel watches.
    for watch in watches { watch.body?() }
  }
}

/// One reader that waits for records.
final class PartitionWatch: Cancellable {
  fileprivate var body: (() -> Void)?

  fileprivate init(_ body: @escaping () -> Void) { self.body = body }

  func cancel() { body = nil }
}
