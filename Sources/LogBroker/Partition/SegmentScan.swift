import Base
import Events
import Iggy

/// Takes what a poll wants out of a part of a segment file. Sans I/O.
struct SegmentScan {
  enum Outcome {
    /// The poll can be answered.
    case enough
    /// Nothing was found yet; go on at `position` with at least so many bytes.
    case more(Int)
    case damaged(String)
  }

  let log: PartitionLog
  let segment: Segment
  /// Where the next part begins.
  private(set) var position: Int
  private(set) var collector: RecordCollector
  /// The offset of the next frame; nil before the first.
  private var expected: UInt64?

  /// Begins in `segment`, at or before the first record wanted.
  init(_ log: PartitionLog, _ segment: Segment, _ collector: RecordCollector) {
    self.log = log
    self.segment = segment
    self.collector = collector
    position = segment.index.position(for: collector.seek)
  }

  /// Bytes from `position` to the end of the segment.
  var left: Int { segment.size - position }

  /// Looks at `part`, the first `count` bytes of which were read at `position`.
  mutating func take(_ part: SharedBytes, count: Int) -> Outcome {
    let start = position
    var walk = FrameWalk(
      part.bytes.slice(0..<count), topic: log.topicNumber,
      partition: UInt32(log.target.partition), origin: start, expected: expected)
    while !collector.isFull {
      switch walk.next() {
      case .frame(let frame):
        // Frames that are passed over too: a false offset or time would hide what is wanted.
        guard walk.isWhole(frame) else { return damaged("the frame here is not what was written") }
        segment.index.note(
          base: frame.base, time: frame.time, position: start + frame.range.lowerBound,
          length: frame.range.count)
        if let reason = take(frame, part) { return damaged(reason) }
        position = start + frame.range.upperBound
        expected = walk.expected
      case .needs(let bytes):
        // What was read is not the whole of it; the segment's end never cuts a frame.
        if bytes > left { return damaged("the frame here is cut off") }
        return collector.records.isEmpty ? .more(bytes) : .enough
      case .end:
        position = start + walk.at
        return collector.records.isEmpty ? .more(FrameHeader.length) : .enough
      case .damaged(let reason):
        return damaged(reason)
      }
    }
    return .enough
  }

  /// Returns why the frame's records cannot be taken; nil when they were, or are not wanted.
  private mutating func take(_ frame: FrameWalk.Frame, _ part: SharedBytes) -> String? {
    guard collector.seek.isReached(base: frame.base, count: frame.count, time: frame.time)
    else { return nil }
    return collector.add(part, frame: frame.range, of: log)
  }

  /// Records before the damage are answered; a poll that begins at it gets the reason.
  private func damaged(_ reason: String) -> Outcome {
    collector.records.isEmpty
      ? .damaged("\(segment.path) at byte \(position): \(reason)") : .enough
  }
}
