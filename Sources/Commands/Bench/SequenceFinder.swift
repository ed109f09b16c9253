import Base
import Events
import LogBroker
import UringIO

/// Finds, in a log that is there already, where each producer's sequence goes on.
struct SequenceFinder {
  let bus: EmbeddedBus
  let loop: EventLoop
  let producers: Int

  /// Records that are looked at first, from the end of a partition; then four times as many.
  private static let step: UInt64 = 1_024

  /// The next sequence number of each producer. Blocks while the log is read: back from the end
  /// of each partition until every producer was met there, for its numbers rise within one.
  func find() throws(CommandFailure) -> [UInt64] {
    var next = [UInt64](repeating: 0, count: producers)
    for partition in 0..<bus.partitionCount(of: .bench) {
      let target = TopicPartition(.bench, partition)
      guard let first = try poll(target, from: .first, count: 1).records.first else { continue }
      var met: Set<Int> = []
      var end = bus.endOffset(of: target)
      var step = Self.step
      while end > first.offset, met.count < producers {
        let start = end - min(step, end - first.offset)
        try read(target, start..<end) { message in
          guard message.producer < UInt64(producers) else { return }
          let producer = Int(message.producer)
          met.insert(producer)
          next[producer] = max(next[producer], message.sequence + 1)
        }
        end = start
        step *= 4
      }
    }
    return next
  }

  private func read(
    _ target: TopicPartition, _ range: Range<UInt64>, _ body: (BenchMessage) -> Void
  ) throws(CommandFailure) {
    var at = range.lowerBound
    while at < range.upperBound {
      let count = Int(min(range.upperBound - at, 10_000))
      let result = try poll(target, from: .offset(at), count: count)
      // A gap up to the end: offsets that were skipped when the machine was started anew.
      guard let last = result.records.last else { return }
      for record in result.records {
        guard let message = BenchMessage(record.payloadBytes) else { continue }
        body(message)
      }
      at = last.offset + 1
    }
  }

  private func poll(
    _ target: TopicPartition, from start: PollStart, count: Int
  ) throws(CommandFailure) -> PollResult {
    var outcome: Result<PollResult, BusError>?
    bus.poll(PollRequest(target, from: start, countMax: count, bytesMax: 4 << 20)) {
      outcome = $0
    }
    _ = loop.runUntil({ outcome != nil }, deadline: .seconds(300))
    switch outcome {
    case .success(let result): return result
    // Retention was faster.
    case .failure(.belowStart(let first)):
      return try poll(target, from: .offset(first), count: count)
    case .failure(let error): throw CommandFailure(error)
    case nil: throw CommandFailure(.deadline, "the log did not answer within 300 s")
    }
  }
}

extension CommandFailure {
  /// An operation of the log that was refused.
  init(_ error: BusError) {
    switch error {
    case .diskFull: self.init(.notWritable, "the disk is full; make room and run it again")
    case .damaged(let reason): self.init(.dataDamaged, "the log is damaged: \(reason)")
    case .recordTooLarge(let limit):
      self.init(
        .usage,
        "a batch takes more than \(limit) bytes on the log, where each message has a header; "
          + "choose fewer messages a batch, or larger ones")
    default: self.init(.failed, "the log refused: \(error)")
    }
  }
}
