package import Base
import Configuration
import UringIO

/// `kfm load`: synthetic turns at a given rate, whether the node keeps up or not.
struct LoadCommand: Command {
  static let definition = CommandDefinition(
    words: ["load"], summary: "send synthetic turns at a given rate and report latencies",
    flags: [
      FlagDefinition(name: "rate", kind: .rate, summary: "turns a second (10)"),
      FlagDefinition(name: "duration", kind: .duration, summary: "how long to send (10s)"),
      FlagDefinition(
        name: "sessions", kind: .integer("N", 1...1_000_000),
        summary: "sessions that take turns in turn (64); turns of one wait for each other"),
      FlagDefinition(
        name: "personality", kind: .text("NAME"), summary: "the pack that answers (packs.default)"),
      FlagDefinition(
        name: "message", kind: .text("TEXT"), summary: "what is asked, with a number added"),
      FlagDefinition(
        name: "patience", kind: .duration,
        summary: "how long to wait for turns that are still running (60s)"),
      FlagDefinition(name: "json", kind: nil, summary: "the report as one JSON object"),
    ],
    examples: [
      Example("kfm load --rate 100 --duration 30s", "100 turns a second for half a minute"),
      Example("kfm load --rate 5 --personality archivist --json", "with retrieval, for a program"),
    ]
  ) { typed throws(UsageError) in try LoadCommand(typed) }

  /// More than a run can keep the figures of in order.
  private static let turnsMax = 10_000_000.0

  private let plan: LoadPlan
  private let config: String?
  private let isJSON: Bool

  private init(_ typed: TypedArguments) throws(UsageError) {
    var plan = LoadPlan()
    plan.rate = typed.number("rate") ?? plan.rate
    plan.duration = typed.duration("duration") ?? plan.duration
    plan.sessions = typed.integer("sessions") ?? plan.sessions
    plan.patience = typed.duration("patience") ?? plan.patience
    plan.message = typed["message"] ?? plan.message
    plan.personality = typed["personality"]
    guard plan.rate * plan.duration.seconds <= Self.turnsMax else {
      throw UsageError("--rate and --duration: expected at most \(Int(Self.turnsMax)) turns")
    }
    self.plan = plan
    config = typed["config"]
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let target = try NodeTarget.find(in: context, config: config)
    var plan = plan
    let loaded = try LoadedConfiguration.load(ConfigInputs(context: context, config: config))
    plan.spendMax = Int64(loaded.node.load.spendMax)
    plan.runName = "load-\(String(context.random.next() >> 40, radix: 36))"
    let client = try NodeClient(context, target: target, options: EventLoopOptions())
    defer { client.close() }
    let run = LoadRun(client: client, plan: plan)
    let report = try run.run { [errors = context.errors] progress in
      guard errors.isTerminal else { return }
      errors.write("\r\(progress) ")
      errors.flush()
    }
    if context.errors.isTerminal { context.say("") }
    if isJSON { context.output.line(report.json.text) } else { report.write(to: context.output) }
    return try judge(report)
  }

  private func judge(_ report: LoadReport) throws(CommandFailure) -> ExitCode {
    if report.isInterrupted { return .interrupted }
    if report.isOverSpent {
      throw CommandFailure(
        .failed, "stopped: the turns cost more than load.spend_max; raise it, or use a free model")
    }
    if report.started > 0, report.unreachable == report.started {
      throw CommandFailure(.unreachable, "no turn reached the node; start one with `kfm serve`")
    }
    return report.completed == report.planned ? .ok : .failed
  }
}

/// What a load run sends.
package struct LoadPlan {
  /// Turns a second.
  package var rate = 10.0
  package var duration = Nanoseconds.seconds(10)
  package var sessions = 64
  package var personality: String?
  package var message = "Why does a log flush before it acknowledges?"
  package var patience = Nanoseconds.seconds(60)
  /// Micro-units that the turns may cost together.
  package var spendMax: Int64 = 0
  /// Begins the names of the run's sessions.
  package var runName = "load"

  package init() {}

  package var turns: Int { max(1, Int((rate * duration.seconds).rounded())) }

  /// When turn `index` is meant to start, from the beginning: whatever the node does.
  package func start(of index: Int) -> Nanoseconds {
    Nanoseconds(Int64((Double(index) * 1e9 / rate).rounded()))
  }

  func body(of index: Int) -> JSON {
    var body: JSONObject = [
      "user_message": .string("\(message) (\(runName) \(index))"),
      "session_id": .string("\(runName)-\(index % sessions)"),
    ]
    if let personality { body["personality_id"] = .string(personality) }
    return .object(body)
  }
}
