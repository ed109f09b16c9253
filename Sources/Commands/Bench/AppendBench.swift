import Base
import Events
import Glibc
import LogBroker
import UringIO

/// The log that `kfm bench append` works on, from its opening to its close.
final class AppendBench {
  private let log: BenchLog
  private let plan: AppendPlan
  private let durability: Durability

  /// Opens or makes the log in `directory`.
  init(
    _ context: CommandContext, _ directory: String, _ plan: AppendPlan, _ setup: BenchLog.Setup
  ) throws(CommandFailure) {
    self.plan = plan
    durability = setup.durability
    log = try BenchLog(context, directory, partitions: plan.partitions, setup)
  }

  /// Where each kind of line goes.
  struct Lines {
    var acks: EventLines?
    var seen: EventLines?
    var stored: EventLines?
  }

  func run(_ lines: Lines) throws(CommandFailure) -> AppendReport {
    let sequences = try SequenceFinder(
      bus: log.bus, loop: log.loop, producers: plan.producers
    ).find()
    let follower =
      lines.seen == nil && lines.stored == nil
      ? nil : BenchFollower(log.bus, seen: lines.seen, stored: lines.stored)
    var report = AppendReport()
    report.plan = plan
    report.io = log.loop.io.rawValue
    report.durability = durability.rawValue
    let failure = try append(sequences, lines.acks, &report)
    try follow(follower)
    try log.closeBus()
    if let failure { throw CommandFailure(failure) }
    return report
  }

  /// Appends everything; returns why not all of it was taken.
  private func append(
    _ sequences: [UInt64], _ acks: EventLines?, _ report: inout AppendReport
  ) throws(CommandFailure) -> BusError? {
    var isInterrupted = false
    let loop = log.loop
    let storage = log.storage
    let run = AppendRun(
      log.bus, loop.clock, plan, sequences: sequences, acks: acks,
      completion: { [loop] in loop.stop() })
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
    _ = log.loop.runUntil({ follower.isDone }, deadline: .seconds(60))
    if let failure = follower.failure { throw CommandFailure(failure) }
  }

  func close() { log.close() }

  private static func processTime() -> Nanoseconds {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
    let microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    return .seconds(Int64(seconds)) + Nanoseconds(Int64(microseconds) * 1_000)
  }
}
