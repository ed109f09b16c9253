import Base
import Events
import LogBroker
import UringIO

/// Publishes single messages, each after the reader was woken for the one before, and takes the
/// time from the call to the reader's callback.
final class WakeBench {
  private let log: BenchLog
  private let target = TopicPartition(.bench, 0)
  private var times: [Int64] = []
  private var left = 0
  private var published: Int64 = 0
  private var sequence: UInt64 = 0
  private var failure: BusError?

  init(
    _ context: CommandContext, _ directory: String, _ durability: Durability
  ) throws(CommandFailure) {
    var setup = BenchLog.Setup()
    setup.durability = durability
    log = try BenchLog(context, directory, partitions: 1, setup)
  }

  func close() { log.close() }

  func closeBus() throws(CommandFailure) { try log.closeBus() }

  var io: String { log.loop.io.rawValue }

  /// Nanoseconds of each wake-up; the reader is on this loop, or on one of its own.
  func run(rounds: Int, onOtherLoop: Bool) throws(CommandFailure) -> [Int64] {
    guard onOtherLoop else { return try run(rounds, reader: { self.woken(at: Self.now) }) }
    let other: LoopThread
    do throws(RingFailure) {
      other = try LoopThread()
    } catch {
      throw CommandFailure(.ringForbidden, error.description)
    }
    defer { other.stop() }
    let here = log.loop.handle
    let there = other.handle
    // Only this loop touches it.
    nonisolated(unsafe) let bench = self
    return try run(rounds) {
      there.post { _ in
        let time = Self.now
        here.post { _ in bench.woken(at: time) }
      }
    }
  }

  private static var now: Int64 { StopWatch.monotonic() }

  private func run(
    _ rounds: Int, reader: @escaping () -> Void
  ) throws(CommandFailure) -> [Int64] {
    times = []
    left = rounds
    let watch = log.bus.watch(target, reader)
    defer { watch.cancel() }
    publish()
    guard log.loop.runUntil({ self.left == 0 || self.failure != nil }, deadline: .seconds(120))
    else { throw CommandFailure(.deadline, "the log did not answer within 120 s") }
    if let failure { throw CommandFailure(failure) }
    return times
  }

  private func woken(at time: Int64) {
    times.append(time - published)
    left -= 1
    if left > 0 { log.loop.enqueue { [self] in publish() } }
  }

  private func publish() {
    let batch = log.bus.makeBatch(bytesMax: 256)
    let message = BenchMessage(producer: 0, sequence: sequence)
    sequence += 1
    published = Self.now
    do {
      try batch.add(id: message.id.value, payloadBytes: 64) { message.write(to: $0, seed: 1) }
    } catch {
      preconditionFailure("a message of 64 bytes has no room: \(error)")
    }
    log.bus.publish(batch, to: target) { [self] in
      if case .failure(let error) = $0 { failure = error }
    }
  }
}
