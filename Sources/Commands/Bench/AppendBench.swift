import Base
import Events
import Glibc
import LogBroker
import Observability
import UringIO

/// The log that `kfm bench append` works on, from its opening to its close.
final class AppendBench {
  private let context: CommandContext
  private let plan: AppendPlan
  private let durability: Durability
  private let loop: EventLoop
  private let storage: RingStorage
  private let bus: EmbeddedBus
  private let log: StructuredLogger

  /// How the log and its topic are to be.
  struct Setup {
    var io: IOChoice
    var durability: Durability
    /// Bytes; nil for the log's own limit.
    var segmentBytes: Int?
    /// Bytes of a partition; nil for ever.
    var retentionBytes: Int?
    var compression = Compression.none
    var key: LogKey?
  }

  /// Opens or makes the log in `directory`.
  init(
    _ context: CommandContext, _ directory: String, _ plan: AppendPlan, _ setup: Setup
  ) throws(CommandFailure) {
    self.context = context
    self.plan = plan
    durability = setup.durability
    do throws(RingFailure) {
      var options = EventLoopOptions()
      options.io = setup.io
      loop = try EventLoop(options: options, clock: context.clock)
    } catch {
      throw StartFailure(error).commandFailure
    }
    let root = Path.absolute(directory, in: context.workingDirectory)
    storage = RingStorage(root: root, loop: loop)
    log = StructuredLogger(
      ring: LogRing(), descriptor: STDERR_FILENO, clock: context.clock,
      settings: LogSettings(level: .warning))
    var options = EmbeddedBusOptions(
      storage: storage, loop: loop,
      logger: Logger(module: "bench", ring: log.ring, clock: context.clock),
      dataDirectory: root)
    options.partitionCounts = [.bench: plan.partitions]
    var topic = TopicSettings()
    topic.durability = setup.durability
    topic.segmentBytes = setup.segmentBytes
    topic.retentionBytes = setup.retentionBytes
    topic.compression = setup.compression
    options.topics = [.bench: topic]
    options.key = setup.key
    do throws(LogBrokerError) {
      bus = try EmbeddedBus.open(options)
    } catch {
      log.stop()
      throw StartFailure(error).commandFailure
    }
    let count = bus.partitionCount(of: .bench)
    guard count == plan.partitions else {
      log.stop()
      throw CommandFailure(
        .usage, "--partitions: topic bench was created with \(count) in \(root); expected \(count)")
    }
  }

  /// Where each kind of line goes.
  struct Lines {
    var acks: EventLines?
    var seen: EventLines?
    var stored: EventLines?
  }

  func run(_ lines: Lines) throws(CommandFailure) -> AppendReport {
    let sequences = try SequenceFinder(bus: bus, loop: loop, producers: plan.producers).find()
    let follower =
      lines.seen == nil && lines.stored == nil
      ? nil : BenchFollower(bus, seen: lines.seen, stored: lines.stored)
    var report = AppendReport()
    report.plan = plan
    report.io = loop.io.rawValue
    report.durability = durability.rawValue
    let failure = try append(sequences, lines.acks, &report)
    try follow(follower)
    try closeLog()
    if let failure { throw CommandFailure(failure) }
    return report
  }

  /// Appends everything; returns why not all of it was taken.
  private func append(
    _ sequences: [UInt64], _ acks: EventLines?, _ report: inout AppendReport
  ) throws(CommandFailure) -> BusError? {
    var isInterrupted = false
    let run = AppendRun(
      bus, loop.clock, plan, sequences: sequences, acks: acks, completion: { [loop] in loop.stop() }
    )
    do throws(IOFailure) {
      try loop.signals([SIGINT, SIGTERM]) { _ in
        isInterrupted = true
        run.stop()
      }
    } catch {
      throw CommandFailure(.failed, "no signals can be received: \(error)")
    }
    let syncs = storage.syncs.value
    let cpu = Self.processTime()
    let began = loop.clock.monotonic()
    run.start()
    loop.run()
    report.elapsed = loop.clock.monotonic() - began
    report.cpu = Self.processTime() - cpu
    report.syncs = storage.syncs.value - syncs
    report.isInterrupted = isInterrupted
    report.residentBytes = ProcessUsage.residentBytes()
    run.report(into: &report)
    return run.failure
  }

  /// Lets the reader come to the end.
  private func follow(_ follower: BenchFollower?) throws(CommandFailure) {
    guard let follower else { return }
    defer { follower.stop() }
    _ = loop.runUntil({ follower.isDone }, deadline: .seconds(60))
    if let failure = follower.failure { throw CommandFailure(failure) }
  }

  private func closeLog() throws(CommandFailure) {
    var isClosed = false
    bus.close { isClosed = true }
    guard loop.runUntil({ isClosed }, deadline: .seconds(300)) else {
      throw CommandFailure(.deadline, "the log did not close within 300 s")
    }
  }

  func close() {
    loop.close()
    log.stop()
  }

  private static func processTime() -> Nanoseconds {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
    let microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    return .seconds(Int64(seconds)) + Nanoseconds(Int64(microseconds) * 1_000)
  }
}
