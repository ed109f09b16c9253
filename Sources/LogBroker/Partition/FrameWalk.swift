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
    let step = frame(at: at)
    let aligned = GroupWriter.roundedToBlock(origin + at) - origin
    guard let expected, aligned > at, !step.begins(with: expected) else { return taken(step) }
    // What was written directly begins at a block.
    guard aligned < bytes.count else {
      if case .frame = step { return taken(step) }
      if aligned > bytes.count { return bytes.count == at ? .end : .needs(aligned - at) }
      at = aligned
      return .end
    }
    let other = frame(at: aligned)
    switch other {
    case .frame(let frame) where frame.base == expected:
      return taken(other)
    case .frame(let frame) where frame.base > expected:
      // Behind a gap, perhaps: whoever takes the frames knows.
      if case .frame = step { return taken(step) }
      return taken(other)
    case .needs(let more):
      if case .frame = step { return taken(step) }
      return .needs(aligned - at + more)
    default: return taken(step)
    }
  }

  private mutating func taken(_ step: Step) -> Step {
    if case .frame(let frame) = step {
      at = frame.range.upperBound
      expected = frame.base + UInt64(frame.count)
    }
    return step
  }

  private func frame(at: Int) -> Step {
    let rest = bytes.slice(at..<bytes.count)
    let least = FrameHeader.length + BatchHeader.length
    if rest.isEmpty { return .end }
    guard rest.count >= least else { return .needs(least) }
    guard let header = FrameHeader(rest) else { return .damaged("no frame begins here") }
    guard header.kind == .batch, header.topic == topic, header.partition == partition,
      header.bodyLength > BatchHeader.length
    else { return .damaged("the frame here belongs elsewhere") }
    guard rest.count >= header.frameLength else { return .needs(header.frameLength) }
    let body = rest.slice(FrameHeader.length..<header.frameLength)
    guard let batch = try? BatchHeader(body), batch.batchLength == UInt64(body.count),
      batch.messageCount > 0,
      !batch.baseOffset.addingReportingOverflow(UInt64(batch.messageCount)).overflow
    else { return .damaged("the frame here holds no batch") }
    return .frame(
      Frame(
        range: at..<at + header.frameLength, base: batch.baseOffset, count: batch.messageCount,
        time: batch.baseTimestamp))
  }

  /// Whether the body of a frame is what was written.
  func isWhole(_ frame: Frame) -> Bool {
    let stated = bytes.littleEndian(at: frame.range.lowerBound + 40, as: UInt32.self)
    return crc32c(bytes.slice(frame.body)) == stated
  }
}

extension FrameWalk.Step {
  /// Whether it is a frame of the record with this offset.
  fileprivate func begins(with offset: UInt64) -> Bool {
    if case .frame(let frame) = self { frame.base == offset } else { false }
  }
}
