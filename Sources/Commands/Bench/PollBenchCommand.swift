import Base
import UringIO

/// `kfm bench poll`: what reading a log from the page cache costs.
struct PollBenchCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "poll"],
    summary: "poll batches of a log from the page cache, and sum their bytes",
    flags: [
      FlagDefinition(
        name: "dir", kind: .directory,
        summary: "the data directory: made, or added to until it holds enough"),
      FlagDefinition(
        name: "batches", kind: .integer("N", 1...Int(Int32.max)),
        summary: "of 1,000 messages of 1 KiB that are read (256)"),
      FlagDefinition(
        name: "rounds", kind: .integer("N", 1...1_000), summary: "over all of them (9)"),
      FlagDefinition(
        name: "io", kind: .choice(["auto", "uring", "epoll"]), summary: "the loop's way (auto)"),
      .json,
    ],
    examples: [
      Example("kfm bench poll --dir /tmp/kfm-poll", "256 MB, nine times"),
      Example("kfm bench poll --dir /tmp/kfm-poll --batches 4 --rounds 1 --json", "a quick look"),
    ]
  ) { typed throws(UsageError) in try PollBenchCommand(typed) }

  private let directory: String
  private let plan: AppendPlan
  private let rounds: Int
  private let io: IOChoice
  private let isJSON: Bool

  private init(_ typed: TypedArguments) throws(UsageError) {
    guard let directory = typed["dir"] else {
      throw UsageError("--dir is missing: which data directory?")
    }
    self.directory = directory
    var plan = AppendPlan()
    plan.messagesPerBatch = 1_000
    plan.batches = typed.integer("batches") ?? 256
    plan.inFlight = 8
    self.plan = plan
    rounds = typed.integer("rounds") ?? 9
    io = typed["io"].flatMap(IOChoice.init) ?? .auto
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let bench = try PollBench(context, directory, plan, io)
    defer { bench.close() }
    let (pass, rates, io) = try bench.run(rounds: rounds)
    let ratios = zip(rates.summed, rates.inMemory).map { $0 / $1 }
    let figures: [(String, Double)] = [
      ("poll_gb_per_cpu_s", median(rates.polled) / 1e9),
      ("sum_gb_per_cpu_s", median(rates.summed) / 1e9),
      ("memory_gb_per_cpu_s", median(rates.inMemory) / 1e9),
      ("sum_over_memory", median(ratios)),
    ]
    guard !isJSON else {
      var object: JSONObject = [
        "io": .string(io), "polls": .int(Int64(pass.polls)),
        "messages": .int(Int64(pass.messages)), "bytes": .int(Int64(pass.bytes)),
        "rounds": .int(Int64(rounds)),
      ]
      for (name, value) in figures { object[name] = .double(value) }
      context.output.line(JSON.object(object).text)
      return .ok
    }
    context.output.line("\(pass.messages) messages in \(pass.polls) polls (io: \(io))")
    for (name, value) in figures {
      context.output.line("\(name): \(Quantity.fixed(value, places: 2))")
    }
    return .ok
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
