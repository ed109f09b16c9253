import Base
import Events

/// Looks from time to time what retention takes away, and stops deleting by age, loudly, when the
/// clock has jumped.
final class RetentionTask {
  private let loop: any LogLoop
  private let table: PartitionTable
  private let metrics: LogMetrics
  private let logger: Logger
  private let boot: UInt128
  private(set) var clock: ClockGuard
  private let cut: (UInt64, PartitionLog) -> Void
  private var timer: (any Cancellable)?
  private let interval: Nanoseconds

  /// - Parameters:
  ///   - boot: of the machine now.
  ///   - cut: is to see to it that records below an offset go.
  init(
    _ options: EmbeddedBusOptions, table: PartitionTable, clock: ClockGuard,
    cut: @escaping (UInt64, PartitionLog) -> Void
  ) {
    loop = options.loop
    metrics = options.metrics
    logger = options.logger.named("log")
    boot = options.storage.bootID
    interval = options.limits.retentionInterval
    self.table = table
    self.clock = clock
    self.cut = cut
  }

  /// Looks now, and then at every interval.
  func start() {
    run()
    guard table.hasRetention else { return }
    timer = loop.schedule(after: interval) { [weak self] in self?.start() }
  }

  func stop() {
    timer?.cancel()
    timer = nil
  }

  func run() {
    let isTrusted = isClockTrusted()
    let now = UInt64(clamping: loop.clock.wall().microseconds)
    for topic in Topic.everyCase {
      let policy = RetentionPolicy(settings: table.settings(of: topic))
      let logs = table.existing(topic)
      if isTrusted {
        policy.stampUnknown(logs, now: now)
        policy.closeAged(logs, now: now)
        apply(policy.expired(logs, now: now))
      }
      apply(policy.surplus(logs))
    }
  }

  private func apply(_ cuts: [RetentionPolicy.Cut]) {
    for (log, offset) in cuts where offset > max(log.firstOffset, log.askedCut) {
      log.askedCut = offset
      cut(offset, log)
    }
  }

  /// For the ages of records that are written now, µs.
  var stamp: UInt64 { clock.stamp(now) }

  private var now: ClockGuard.Anchor {
    .init(wall: loop.clock.wall(), monotonic: loop.clock.monotonic(), boot: boot)
  }

  private func isClockTrusted() -> Bool {
    let wasSuspended = clock.isSuspended
    let verdict = clock.check(now)
    metrics.retentionSuspended.set(clock.isSuspended ? 1 : 0)
    switch verdict {
    case .fine:
      if wasSuspended { logger.info("the clock is back: records expire by age again") }
      return true
    case .jumped(let jump):
      guard !wasSuspended else { return false }
      metrics.clockJumps.add()
      logger.error(
        "the clock jumped: no record expires by age until it is back; if the new time is right, "
          + "stop the node and run `kfm log repair --accept-clock`",
        ["jump_seconds": .int(jump / 1_000_000)])
      return false
    }
  }
}
