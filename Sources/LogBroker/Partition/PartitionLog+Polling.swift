import Base
import Events
import Iggy

extension PartitionLog {
  /// Where the poll begins; never before the first record there is.
  func seek(_ request: PollRequest) -> Seek {
    switch request.start {
    case .first: return .offset(skippingGap(firstOffset))
    case .offset(let offset): return .offset(skippingGap(max(firstOffset, offset)))
    case .timestamp(let time): return .time(UInt64(clamping: time.microseconds))
    case .last:
      return .offset(skippingGap(offsetOfLast(UInt64(clamping: max(0, request.countMax)))))
    }
  }

  /// The first offset at or behind `offset` that a record may have.
  private func skippingGap(_ offset: UInt64) -> UInt64 {
    gaps.first { $0.contains(offset) }?.upperBound ?? offset
  }

  /// Where the last `count` records begin.
  private func offsetOfLast(_ count: UInt64) -> UInt64 {
    var left = count
    var end = endOffset
    for gap in gaps.reversed() {
      let run = end - gap.upperBound
      if run >= left { return end - left }
      left -= run
      end = gap.lowerBound
    }
    return end - min(end - firstOffset, left)
  }

  /// Why the poll cannot begin where it asks to; nil when it can.
  func refusal(of request: PollRequest) -> BusError? {
    guard case .offset(let offset) = request.start, offset < firstOffset else { return nil }
    return .belowStart(first: firstOffset)
  }

  func isBeyondEnd(_ seek: Seek) -> Bool {
    if endOffset == firstOffset { return true }
    return switch seek {
    case .offset(let offset): offset >= endOffset
    case .time(let time): time > lastTime
    }
  }

  /// Whether no segment file has to be read for it.
  func isInMemory(_ seek: Seek) -> Bool {
    if segments.isEmpty { return true }
    return switch seek {
    case .offset(let offset): offset >= tailBase
    // The segments' records are all older.
    case .time(let time): time > flushedTime
    }
  }

  /// Fills up `collector` with records that are in memory, and answers the poll.
  func collect(_ collector: RecordCollector) -> Result<PollResult, BusError> {
    var collector = collector
    for chunk in tail where !collector.isFull {
      let first = chunk.firstFrame(for: collector.seek)
      guard first < chunk.frames.count else { continue }
      let memory = UnsafeRawBufferPointer(rebasing: chunk.memory[0..<chunk.used])
      // The chunk lives as long as somebody holds its bytes.
      let shared = SharedBytes(memory) { _ in withExtendedLifetime(chunk) {} }
      for index in first..<chunk.frames.count where !collector.isFull {
        let frame = chunk.frames[index].position..<chunk.frameEnd(index)
        if let problem = collector.add(shared, frame: frame, of: self) {
          return .failure(.damaged("\(directory): \(problem)"))
        }
      }
    }
    if collector.records.isEmpty, !collector.isFull, !isBeyondEnd(collector.seek) {
      return .failure(.damaged("\(directory): records are missing at its end"))
    }
    return .success(PollResult(records: collector.records, endOffset: endOffset))
  }
}
