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
  private(set) var at = 0

  init(_ bytes: UnsafeRawBufferPointer, topic: UInt16, partition: UInt32) {
    self.bytes = bytes
    self.topic = topic
    self.partition = partition
  }

  /// The next frame. Its header is checked; the body is not, see `isWhole`.
  mutating func next() -> Step {
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
    let range = at..<at + header.frameLength
    at = range.upperBound
    return .frame(
      Frame(
        range: range, base: batch.baseOffset, count: batch.messageCount,
        time: batch.baseTimestamp))
  }

  /// Whether the body of a frame is what was written.
  func isWhole(_ frame: Frame) -> Bool {
    let stated = bytes.littleEndian(at: frame.range.lowerBound + 40, as: UInt32.self)
    return crc32c(bytes.slice(frame.body)) == stated
  }
}
