import Base
import Iggy

/// Walks the frames of a segment in a buffer that holds a part of it. Sans I/O.
struct FrameWalk {
  struct Frame {
    /// In the buffer, header included.
    var range: Range<Int>
    var base: UInt64
    var count: UInt32
    /// Append time, µs.
    var time: UInt64

    var body: Range<Int> { range.lowerBound + FrameHeader.length..<range.upperBound }
  }

  enum Step {
    case frame(Frame)
    /// The buffer ends inside the next frame, which needs so many bytes (as far as is known).
    case needs(Int)
    case end
    case damaged(String)
  }

  let bytes: UnsafeRawBufferPointer
  let topic: UInt16
  let partition: UInt32
  /// Where `bytes` begins in the file.
  let origin: Int
  private(set) var at = 0
  /// The offset that has to come next; nil before the first frame.
  private(set) var expected: UInt64?

  init(
    _ bytes: UnsafeRawBufferPointer, topic: UInt16, partition: UInt32, origin: Int = 0,
    expected: UInt64? = nil
  ) {
    self.bytes = bytes
    self.topic = topic
    self.partition = partition
    self.origin = origin
    self.expected = expected
  }

  /// The next frame. Its header is checked; the body is not, see `isWhole`.
  mutating func next() -> Step {
    let found = frame(at: at)
    let aligned = GroupWriter.roundedToBlock(origin + at) - origin
    guard let expected, aligned > at, found.base != expected else { return taken(found.step) }
    // What was written directly begins at a block, and anything may fill the space before it; but
    // a frame of later records stands behind a gap, perhaps: whoever takes the frames knows.
    let standsHere = found.base.map { $0 > expected } ?? false
    guard aligned < bytes.count else {
      if standsHere || at == bytes.count { return taken(found.step) }
      if aligned > bytes.count { return .needs(aligned - at) }
      if case .needs = found.step, beginsFrame(at) { return found.step }
      at = aligned
      return .end
    }
    let other = frame(at: aligned)
    if let base = other.base, base == expected || (base > expected && !standsHere) {
      guard case .needs(let more) = other.step else { return taken(other.step) }
      return .needs(aligned - at + more)
    }
    if case .needs(let more) = other.step, !standsHere { return .needs(aligned - at + more) }
    return taken(found.step)
  }

  /// Whether the few bytes that are left may be the first of a frame.
  private func beginsFrame(_ at: Int) -> Bool {
    let count = min(bytes.count - at, MemoryLayout<UInt32>.size)
    return withUnsafeBytes(of: FrameHeader.magic.littleEndian) { magic in
      bytes.slice(at..<at + count).elementsEqual(magic.prefix(count))
    }
  }

  private mutating func taken(_ step: Step) -> Step {
    if case .frame(let frame) = step {
      at = frame.range.upperBound
      expected = frame.base + UInt64(frame.count)
    }
    return step
  }

  /// What stands at `at`; `base` is its first offset where the beginning of a frame is there.
  private func frame(at: Int) -> (step: Step, base: UInt64?) {
    let rest = bytes.slice(at..<bytes.count)
    let least = FrameHeader.length + BatchHeader.length
    if rest.isEmpty { return (.end, nil) }
    guard rest.count >= least else { return (.needs(least), nil) }
    guard let header = FrameHeader(rest) else { return (.damaged("no frame begins here"), nil) }
    guard header.kind == .batch, header.topic == topic, header.partition == partition,
      header.bodyLength > BatchHeader.length
    else { return (.damaged("the frame here belongs elsewhere"), nil) }
    let end = min(rest.count, header.frameLength)
    let batch = BatchCipher.header(of: rest.slice(FrameHeader.length..<end), key: header.key)
    guard let batch,
      batch.batchLength == UInt64(header.bodyLength), batch.messageCount > 0,
      !batch.baseOffset.addingReportingOverflow(UInt64(batch.messageCount)).overflow
    else { return (.damaged("the frame here holds no batch"), nil) }
    guard rest.count >= header.frameLength else {
      return (.needs(header.frameLength), batch.baseOffset)
    }
    let frame = Frame(
      range: at..<at + header.frameLength, base: batch.baseOffset, count: batch.messageCount,
      time: batch.baseTimestamp)
    return (.frame(frame), batch.baseOffset)
  }

  /// Whether the body of a frame is what was written.
  func isWhole(_ frame: Frame) -> Bool {
    let stated = bytes.littleEndian(at: frame.range.lowerBound + 40, as: UInt32.self)
    return crc32c(bytes.slice(frame.body)) == stated
  }
}
