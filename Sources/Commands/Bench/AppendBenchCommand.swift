import Base
import Events
import Glibc
import LogBroker
import Observability
import UringIO

/// `kfm bench append`: appends to a log of its own, as fast as that takes it.
struct AppendBenchCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "append"],
    summary: "append to topic `bench` of a log, and report rates and acknowledgement times",
    flags: [
      FlagDefinition(
        name: "dir", kind: .directory,
        summary: "the data directory: made, or recovered and appended to"),
      FlagDefinition(
        name: "batch-bytes", kind: .integer("B", 16...(8 << 20)),
        summary: "payload of a batch, in whole messages (65536)"),
      FlagDefinition(
        name: "message-bytes", kind: .integer("B", 16...(8 << 20)),
        summary: "of each message (1024, or the batch when that is smaller)"),
      FlagDefinition(
        name: "batches", kind: .integer("N", 0...Int(Int32.max)),
        summary: "batches in all, shared among the producers (1000)"),
      FlagDefinition(
        name: "producers", kind: .integer("P", 1...4_096), summary: "that append at once (1)"),
      FlagDefinition(
        name: "partitions", kind: .integer("K", 1...65_536),
        summary: "of the topic, gone round by every producer (1)"),
      FlagDefinition(
        name: "inflight", kind: .integer("N", 1...4_096),
        summary: "batches each producer has under way at once (1)"),
      FlagDefinition(
        name: "durability", kind: .choice(["persisted", "replicated"]),
        summary: "what an acknowledgement promises (persisted)"),
      FlagDefinition(
        name: "io", kind: .choice(["auto", "uring", "epoll"]), summary: "the loop's way (auto)"),
      FlagDefinition(
        name: "seed", kind: .integer("S", 0...Int.max), summary: "of the messages' content (1)"),
      FlagDefinition(
        name: "segment-bytes", kind: .integer("B", 4_096...(1 << 40)),
        summary: "a segment file that has reached this is closed (64 MiB)"),
      FlagDefinition(
        name: "retention-bytes", kind: .integer("B", 4_096...Int.max),
        summary: "the topic's oldest segments go above this (kept for ever)"),
      FlagDefinition(
        name: "compression", kind: .choice(Compression.allCases.map(\.rawValue)),
        summary: "what becomes of closed segments (none)"),
      FlagDefinition(
        name: "acks", kind: .file, summary: "a JSON line for each acknowledgement; - is stdout"),
      FlagDefinition(
        name: "seen", kind: .file,
        summary: "a JSON line for what a reader at the end was handed; - is stdout"),
      FlagDefinition(
        name: "stored", kind: .file,
        summary: "a JSON line for each offset that this reader's group has, and stores; - is stdout"
      ),
      .json,
    ],
    examples: [
      Example(
        "kfm bench append --dir /tmp/kfm-bench --batch-bytes 1048576 --batches 1000 --inflight 8",
        "1 GiB in batches of 1 MiB"),
      Example(
        "kfm bench append --dir /tmp/kfm-bench --batch-bytes 100 --producers 64 --acks acks.jsonl",
        "single messages, every acknowledgement written down"),
    ]
  ) { typed throws(UsageError) in try AppendBenchCommand(typed) }

  private let directory: String
  private let plan: AppendPlan
  private let setup: BenchLog.Setup
  private let acks: String?
  private let seen: String?
  private let stored: String?
  private let isJSON: Bool

  private init(_ typed: TypedArguments) throws(UsageError) {
    guard let directory = typed["dir"] else {
      throw UsageError("--dir is missing: which data directory?")
    }
    self.directory = directory
    plan = try AppendPlan(typed)
    setup = BenchLog.Setup(
      io: typed["io"].flatMap(IOChoice.init) ?? .auto,
      durability: typed["durability"].flatMap(Durability.init) ?? .persisted,
      segmentBytes: typed.integer("segment-bytes"),
      retentionBytes: typed.integer("retention-bytes"),
      compression: typed["compression"].flatMap(Compression.init) ?? .none)
    acks = typed["acks"]
    seen = typed["seen"]
    stored = typed["stored"]
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    func open(_ path: String?) throws(CommandFailure) -> EventLines? {
      guard let path else { return nil }
      return try EventLines(path: path, in: context.workingDirectory)
    }
    let lines = AppendBench.Lines(
      acks: try open(acks), seen: try open(seen), stored: try open(stored))
    var setup = setup
    setup.key = try NodeTarget.logKey(context, nil, isConfigured: false)
    let bench = try AppendBench(context, directory, plan, setup)
    defer { bench.close() }
    let report = try bench.run(lines)
    if isJSON { context.output.line(report.json.text) } else { report.write(to: context.output) }
    for file in [lines.acks, lines.seen, lines.stored] {
      guard case .failed(let code)? = file?.failure else { continue }
      throw CommandFailure(
        .notWritable, "lines could not be written: \(SystemError.text(code))")
    }
    return report.isInterrupted ? .interrupted : .ok
  }
}

extension AppendPlan {
  fileprivate init(_ typed: TypedArguments) throws(UsageError) {
    self.init()
    let batchBytes = typed.integer("batch-bytes") ?? batchBytes
    messageBytes = typed.integer("message-bytes") ?? min(messageBytes, batchBytes)
    guard batchBytes >= messageBytes else {
      throw UsageError("--batch-bytes: expected at least one message of \(messageBytes) bytes")
    }
    messagesPerBatch = batchBytes / messageBytes
    batches = typed.integer("batches") ?? batches
    producers = typed.integer("producers") ?? producers
    partitions = typed.integer("partitions") ?? partitions
    inFlight = typed.integer("inflight") ?? inFlight
    seed = UInt64(typed.integer("seed") ?? Int(seed))
  }
}
