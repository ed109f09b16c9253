import Base
import Events
import Iggy

/// Walks a whole segment that is in memory: what is there, what is not what was written, and what
/// can be found behind it. Sans I/O.
struct SegmentCheck {
  struct Frame {
    /// In the file, header included.
    var range: Range<Int>
    var base: UInt64
    var count: UInt32
    /// Append time, µs.
    var time: UInt64
    /// Of the header.
    var checksum: UInt32

    var end: UInt64 { base + UInt64(count) }
  }

  struct Problem {
    /// In the file.
    var position: Int
    var reason: String
  }

  /// Every frame that is whole and in order.
  private(set) var frames: [Frame] = []
  private(set) var problems: [Problem] = []
  private let log: PartitionLog
  private let bytes: UnsafeRawBufferPointer
  /// The offset that has to come next.
  private var expected: UInt64

  /// - Parameter bytes: the file up to the size it should have, or shorter when it is.
  init(_ bytes: UnsafeRawBufferPointer, _ segment: Segment, of log: PartitionLog) {
    self.log = log
    self.bytes = bytes
    expected = segment.base
    run()
    if bytes.count < segment.size, problems.last?.position != bytes.count {
      problems.append(
        Problem(position: bytes.count, reason: "\(bytes.count) bytes are there of \(segment.size)"))
    }
  }

  private mutating func run() {
    var start = 0
    while start < bytes.count {
      let at = walk(from: start)
      guard at < bytes.count else { return }
      guard let next = resume(behind: at) else { return }
      start = next
    }
  }

  /// Takes frames until something is wrong, which is noted; returns where.
  private mutating func walk(from start: Int) -> Int {
    var walk = makeWalk(from: start)
    while true {
      let at = start + walk.at
      switch walk.next() {
      case .frame(let frame):
        if let reason = refusal(of: frame, in: walk) { return note(at, reason) }
        let range = frame.range.lowerBound + start..<frame.range.upperBound + start
        frames.append(
          Frame(
            range: range, base: frame.base, count: frame.count, time: frame.time,
            checksum: bytes.littleEndian(at: range.lowerBound + 60)))
        expected = frame.base + UInt64(frame.count)
      case .end: return bytes.count
      case .needs: return note(at, "the frame here is cut off")
      case .damaged(let reason): return note(at, reason)
      }
    }
  }

  private func makeWalk(from start: Int) -> FrameWalk {
    FrameWalk(
      bytes.slice(start..<bytes.count), topic: log.topicNumber,
      partition: UInt32(log.target.partition), origin: start)
  }

  private mutating func note(_ position: Int, _ reason: String) -> Int {
    problems.append(Problem(position: position, reason: reason))
    return position
  }

  private func refusal(of frame: FrameWalk.Frame, in walk: FrameWalk) -> String? {
    guard walk.isWhole(frame) else { return "the frame here is not what was written" }
    let plain: SharedBytes?
    do throws(BatchCipher.Problem) {
      plain = try log.deciphered(walk.bytes.slice(frame.range))
    } catch { return "\(error)" }
    let isBatch = withExtendedLifetime(plain) {
      let batch = try? BatchView(plain?.bytes ?? walk.bytes.slice(frame.body))
      return batch != nil && (try? batch?.validate()) != nil
    }
    guard isBatch else { return "the batch here is not what was written" }
    if frame.base == expected { return nil }
    if frame.base < expected { return "offset \(frame.base) comes again" }
    let isKnown = log.gaps.contains { $0.contains(expected) && $0.upperBound == frame.base }
    return isKnown ? nil : "offsets \(expected) to \(frame.base - 1) are missing"
  }

  /// Where the next whole frame behind `position` begins that continues the partition.
  private mutating func resume(behind position: Int) -> Int? {
    let least = FrameHeader.length
    var at = position
    while at + least <= bytes.count {
      defer { at += 1 }
      guard bytes.littleEndian(at: at, as: UInt32.self) == FrameHeader.magic else { continue }
      var walk = makeWalk(from: at)
      guard case .frame(let frame) = walk.next(), frame.range.lowerBound == 0,
        frame.base >= expected
      else { continue }
      // It may only be missing what is before it.
      expected = frame.base
      if refusal(of: frame, in: walk) == nil { return at }
    }
    return nil
  }
}
