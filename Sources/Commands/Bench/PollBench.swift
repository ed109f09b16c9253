import Base
import Events
import Iggy
import LogBroker
import UringIO

/// Reads a log of its own from the page cache, batch by batch and again and again, and reads as
/// many bytes that are in memory already.
final class PollBench {
  private let log: BenchLog
  private let reader: PartitionReader
  private let plan: AppendPlan
  private let target = TopicPartition(.bench, 0)

  /// What one way of reading gave; bytes of payload, seconds of CPU.
  struct Rates {
    var polled: [Double] = []
    var summed: [Double] = []
    var inMemory: [Double] = []
  }

  /// What a pass over the log came upon.
  struct Pass: Equatable {
    var polls = 0
    var messages = 0
    var bytes = 0
    var sum: UInt64 = 0
  }

  /// - Parameter plan: what is appended where the log holds less.
  init(
    _ context: CommandContext, _ directory: String, _ plan: AppendPlan, _ io: IOChoice
  ) throws(CommandFailure) {
    self.plan = plan
    var setup = BenchLog.Setup()
    setup.io = io
    log = try BenchLog(context, directory, partitions: 1, setup)
    reader = log.bus.makeReader(of: target)
  }

  func close() { log.close() }

  func run(rounds: Int) throws(CommandFailure) -> (first: Pass, rates: Rates, io: String) {
    try fill()
    // Brings it into the page cache, and compares it with its checksums.
    let first = try pass(summing: true)
    let memory = copy(of: first)
    defer { memory.deallocate() }
    var rates = Rates()
    for _ in 0..<rounds {
      let clock = StopWatch()
      let polled = try pass(summing: false)
      rates.polled.append(Double(polled.bytes) / clock.cpuSeconds)
      let summing = StopWatch()
      let summed = try pass(summing: true)
      rates.summed.append(Double(summed.bytes) / summing.cpuSeconds)
      let inMemory = StopWatch()
      let sum = ByteSum.of(UnsafeRawBufferPointer(memory))
      rates.inMemory.append(Double(memory.count) / inMemory.cpuSeconds)
      guard summed == first, polled.messages == first.messages, sum == first.sum else {
        throw CommandFailure(.dataDamaged, "two passes over the log came upon different messages")
      }
    }
    try log.closeBus()
    return (first, rates, log.loop.io.rawValue)
  }

  /// Appends what the log lacks.
  private func fill() throws(CommandFailure) {
    let held = Int(clamping: log.bus.endOffset(of: target)) / plan.messagesPerBatch
    guard held < plan.batches else { return }
    var missing = plan
    missing.batches -= held
    let run = AppendRun(
      log.bus, log.loop.clock, missing,
      sequences: [log.bus.endOffset(of: target)], acks: nil,
      completion: { [loop = log.loop] in loop.stop() })
    run.start()
    log.loop.run()
    if let failure = run.failure { throw CommandFailure(failure) }
  }

  /// Polls from the first batch to the last.
  private func pass(summing: Bool) throws(CommandFailure) -> Pass {
    let pass = BatchPass(reader, end: log.bus.endOffset(of: target), isSumming: summing)
    pass.start()
    guard log.loop.runUntil({ pass.isOver }, deadline: .seconds(300)) else {
      throw CommandFailure(.deadline, "the log did not answer within 300 s")
    }
    if let failure = pass.failure { throw CommandFailure(failure) }
    return pass.seen
  }

  /// The payloads of `pass` one after the other, made anew.
  private func copy(of pass: Pass) -> UnsafeMutableRawBufferPointer {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pass.bytes, alignment: 4_096)
    for number in 0..<pass.messages {
      let start = number * plan.messageBytes
      BenchMessage(producer: 0, sequence: UInt64(number)).write(
        to: UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + plan.messageBytes]),
        seed: plan.seed)
    }
    return memory
  }
}

/// One pass over a partition: each poll follows the one before.
private final class BatchPass {
  private let reader: PartitionReader
  private let end: UInt64
  private let isSumming: Bool
  private var next: UInt64 = 0
  private(set) var seen = PollBench.Pass()
  private(set) var failure: BusError?

  /// About one batch of 1,000 messages of 1 KiB.
  private static let pollBytes = 1 << 20

  init(_ reader: PartitionReader, end: UInt64, isSumming: Bool) {
    self.reader = reader
    self.end = end
    self.isSumming = isSumming
  }

  var isOver: Bool { failure != nil || next >= end }

  func start() {
    guard !isOver else { return }
    reader.pollBatches(from: next, bytesMax: Self.pollBytes) { [self] result in
      switch result {
      case .failure(let error): failure = error
      case .success(let polled):
        seen.polls += 1
        for batch in polled.batches { take(batch) }
        start()
      }
    }
  }

  private func take(_ batch: PolledBatch) {
    do {
      let view = try BatchView(batch.bytes)
      var cursor = BatchView.Cursor(view)
      while let message = try cursor.next() {
        seen.messages += 1
        seen.bytes += message.payload.count
        if isSumming {
          let payload = UnsafeRawBufferPointer(rebasing: view.bytes[message.payload])
          seen.sum &+= ByteSum.of(payload)
        }
      }
      next = batch.end
    } catch {
      failure = .damaged("\(error)")
    }
  }
}

/// The sum of all bytes.
enum ByteSum {
  @inline(never)
  static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let low = SIMD8<UInt64>(repeating: 0x00FF_00FF_00FF_00FF)
    var total: UInt64 = 0
    var at = 0
    while at + 64 <= bytes.count {
      // 16-bit lanes take 128 times two bytes.
      let end = min(at + 64 * 128, at + (bytes.count - at) / 64 * 64)
      var sums = SIMD8<UInt64>.zero
      while at < end {
        let words = bytes.loadUnaligned(fromByteOffset: at, as: SIMD8<UInt64>.self)
        sums &+= (words & low) &+ ((words &>> 8) & low)
        at += 64
      }
      for index in 0..<8 { total &+= lanes(sums[index]) }
    }
    while at < bytes.count {
      total &+= UInt64(bytes[at])
      at += 1
    }
    return total
  }

  /// The sum of four lanes of 16 bits.
  private static func lanes(_ word: UInt64) -> UInt64 {
    let pairs = (word & 0x0000_FFFF_0000_FFFF) &+ ((word &>> 16) & 0x0000_FFFF_0000_FFFF)
    return (pairs & 0xFFFF_FFFF) &+ (pairs &>> 32)
  }
}
