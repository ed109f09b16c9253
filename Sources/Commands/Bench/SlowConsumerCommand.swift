import Base
import Events
import Glibc
import LogBroker
import Observability
import UringIO

/// `kfm bench slow-consumer`: what a consumer that lags costs the one that does not, and the memory.
struct SlowConsumerCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "slow-consumer"],
    summary:
      "append 20,000 messages a second beside a consumer that takes ten; report what it costs",
    flags: [
      FlagDefinition(
        name: "dir", kind: .directory,
        summary: "the data directory: made, or recovered and appended to"),
      FlagDefinition(
        name: "seconds", kind: .integer("S", 1...3_600), summary: "with the slow consumer (60)"),
      FlagDefinition(
        name: "io", kind: .choice(["auto", "uring", "epoll"]), summary: "the loop's way (auto)"),
      .json,
    ],
    examples: [
      Example("kfm bench slow-consumer --dir /tmp/kfm-slow", "a minute"),
      Example("kfm bench slow-consumer --dir /tmp/kfm-slow --seconds 5 --json", "for a program"),
    ]
  ) { typed throws(UsageError) in try SlowConsumerCommand(typed) }

  private let directory: String
  private let seconds: Int64
  private let io: IOChoice
  private let isJSON: Bool

  private init(_ typed: TypedArguments) throws(UsageError) {
    guard let directory = typed["dir"] else {
      throw UsageError("--dir is missing: which data directory?")
    }
    self.directory = directory
    seconds = Int64(typed.integer("seconds") ?? 60)
    io = typed["io"].flatMap(IOChoice.init) ?? .auto
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    var loopOptions = EventLoopOptions()
    loopOptions.io = io
    let loop = try EventLoop.forCommand(context, options: loopOptions)
    defer { loop.close() }
    let log = StructuredLogger(
      ring: LogRing(), descriptor: STDERR_FILENO, clock: context.clock,
      settings: LogSettings(level: .warning))
    defer { log.stop() }
    let root = Path.absolute(directory, in: context.workingDirectory)
    var options = EmbeddedBusOptions(
      storage: RingStorage(root: root, loop: loop), loop: loop,
      logger: Logger(module: "bench", ring: log.ring, clock: context.clock), dataDirectory: root)
    options.partitionCounts = [.bench: 1]
    let bus: EmbeddedBus
    do throws(LogBrokerError) { bus = try EmbeddedBus.open(options) } catch {
      throw StartFailure(error).commandFailure
    }
    let figures = try SlowConsumerRun(bus, loop).run(seconds: seconds)
    if isJSON {
      var object: JSONObject = ["io": .string(loop.io.rawValue)]
      for (name, value) in figures { object[name] = .int(Int64(value)) }
      context.output.line(JSON.object(object).text)
    } else {
      for (name, value) in figures { context.output.line("\(name): \(value)") }
    }
    return .ok
  }
}

/// Two consumers and a producer on one loop and one partition.
private final class SlowConsumerRun {
  private static let target = TopicPartition(.bench, 0)
  /// Appended every `interval`: 20,000 a second.
  private static let burst = 100
  private static let messageBytes = 200
  private static let interval = Nanoseconds.milliseconds(5)
  private static let slowInterval = Nanoseconds.milliseconds(100)

  private let bus: EmbeddedBus
  private let loop: EventLoop
  private var next: Nanoseconds
  private var sequence: UInt64
  private var underWay = 0
  private var appended = 0
  private var failure: BusError?
  private var slowNext: UInt64
  private var slowTaken = 0
  private var isSlowOn = false
  /// What the slow consumer has in its hands.
  private var held: PollResult?
  private var fastNext: UInt64
  private var isPolling = false
  private var disorder = 0
  private var latency = LatencyHistogram()
  private var isStopping = false

  init(_ bus: EmbeddedBus, _ loop: EventLoop) {
    self.bus = bus
    self.loop = loop
    next = loop.clock.monotonic()
    fastNext = bus.endOffset(of: Self.target)
    slowNext = fastNext
    sequence = fastNext
  }

  /// Without the slow consumer first, then `seconds` with it.
  func run(seconds: Int64) throws(CommandFailure) -> [(String, Int)] {
    let watch = bus.watch(Self.target) { [self] in takeAtOnce() }
    defer { watch.cancel() }
    produce()
    // What a start takes for itself is no growth.
    pass(.seconds(min(3, seconds)))
    latency = LatencyHistogram()
    pass(.seconds(max(1, seconds / 4)))
    let alone = latency
    slowNext = fastNext
    isSlowOn = true
    takeSlowly()
    pass(.seconds(1))
    latency = LatencyHistogram()
    let before = (bytes: ProcessUsage.residentBytes(), appended: appended, taken: slowTaken)
    pass(.seconds(seconds))
    let growth = ProcessUsage.residentBytes() - before.bytes
    let rate = (appended - before.appended) / Int(seconds)
    let taken = slowTaken - before.taken
    isStopping = true
    let isDone = loop.runUntil(
      { [self] in underWay == 0 && fastNext == sequence || failure != nil },
      deadline: .seconds(60))
    if let failure { throw CommandFailure(failure) }
    guard isDone else { throw CommandFailure(.deadline, "the healthy consumer did not keep up") }
    try close()
    return [
      ("seconds", Int(seconds)), ("rate", rate), ("slow_taken", taken), ("disorder", disorder),
      ("rss_growth_bytes", growth), ("healthy_p50_us", Int(latency.quantile(0.5))),
      ("healthy_p99_us", Int(latency.quantile(0.99))), ("alone_p50_us", Int(alone.quantile(0.5))),
      ("alone_p99_us", Int(alone.quantile(0.99))),
    ]
  }

  private func pass(_ time: Nanoseconds) {
    _ = loop.runUntil({ [self] in failure != nil }, deadline: time)
  }

  private func close() throws(CommandFailure) {
    var isClosed = false
    bus.close { isClosed = true }
    guard loop.runUntil({ isClosed }, deadline: .seconds(60)) else {
      throw CommandFailure(.deadline, "the log did not close within 60 s")
    }
  }

  /// Appends what is due: a late timer makes no lower rate.
  private func produce() {
    guard !isStopping, failure == nil else { return }
    while next <= loop.clock.monotonic() {
      next = next + Self.interval
      // A disk that is slower than that is what this run reports.
      if underWay < 64 { append() }
    }
    _ = loop.schedule(after: next - loop.clock.monotonic()) { [self] in produce() }
  }

  private func append() {
    let batch = bus.makeBatch(bytesMax: Self.burst * (64 + Self.messageBytes))
    for _ in 0..<Self.burst {
      let message = BenchMessage(producer: 0, sequence: sequence)
      sequence += 1
      do {
        try batch.add(id: message.id.value, payloadBytes: Self.messageBytes) {
          message.write(to: $0, seed: 1)
        }
      } catch {
        preconditionFailure("a batch has room for what it was made for: \(error)")
      }
    }
    underWay += 1
    bus.publish(batch, to: Self.target) { [self] result in
      underWay -= 1
      switch result {
      case .success: appended += Self.burst
      case .failure(let error): failure = failure ?? error
      }
    }
  }

  private func takeSlowly() {
    guard !isStopping else { return }
    _ = loop.schedule(after: Self.slowInterval) { [self] in takeSlowly() }
    let request = PollRequest(Self.target, from: .offset(slowNext), countMax: 1, bytesMax: 1)
    bus.poll(request) { [self] in
      guard case .success(let result) = $0, let record = result.records.first else { return }
      if record.offset != slowNext { disorder += 1 }
      held = result
      slowNext += 1
      slowTaken += 1
    }
  }

  private func takeAtOnce() {
    guard !isPolling else { return }
    isPolling = true
    let request = PollRequest(
      Self.target, from: .offset(fastNext), countMax: 1_000, bytesMax: 1 << 20)
    bus.poll(request) { [self] in
      isPolling = false
      guard case .success(let result) = $0, let first = result.records.first else { return }
      if first.offset != fastNext { disorder += 1 }
      fastNext = first.offset + UInt64(result.records.count)
      latency.record(
        microseconds: loop.clock.wall().microseconds - first.appendTime.microseconds)
      takeAtOnce()
    }
  }
}
