import Base
import Events
import LogBroker

/// `kfm bench wake`: how long a published message takes to wake its reader.
struct WakeBenchCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "wake"],
    summary: "how long it takes from publishing a message to its reader's callback",
    flags: [
      FlagDefinition(
        name: "dir", kind: .directory, summary: "where two data directories are made"),
      FlagDefinition(
        name: "rounds", kind: .integer("N", 1...10_000_000), summary: "messages each way (2000)"),
      .json,
    ],
    examples: [
      Example("kfm bench wake --dir /tmp/kfm-wake", "microseconds of this machine"),
      Example("kfm bench wake --dir /tmp/kfm-wake --rounds 50 --json", "a quick look"),
    ]
  ) { typed throws(UsageError) in
    guard let directory = typed["dir"] else {
      throw UsageError("--dir is missing: where may data directories be made?")
    }
    return WakeBenchCommand(
      directory: directory, rounds: typed.integer("rounds") ?? 2_000, isJSON: typed.has("json"))
  }

  let directory: String
  let rounds: Int
  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    var figures: [(String, Double)] = []
    var io = ""
    for durability in [Durability.replicated, .persisted] {
      let bench = try WakeBench(context, "\(directory)/\(durability.rawValue)", durability)
      defer { bench.close() }
      io = bench.io
      for onOtherLoop in [false, true] {
        let times = try bench.run(rounds: rounds, onOtherLoop: onOtherLoop).sorted()
        let name = durability.rawValue + (onOtherLoop ? "_other_loop" : "_same_loop")
        figures.append(("\(name)_p50_us", Double(times[times.count / 2]) / 1e3))
        figures.append(("\(name)_p99_us", Double(times[times.count * 99 / 100]) / 1e3))
      }
      try bench.closeBus()
    }
    guard !isJSON else {
      var object: JSONObject = ["io": .string(io), "rounds": .int(Int64(rounds))]
      for (name, value) in figures { object[name] = .double(value) }
      context.output.line(JSON.object(object).text)
      return .ok
    }
    context.output.line("io: \(io)")
    for (name, value) in figures {
      context.output.line("\(name): \(Quantity.fixed(value, places: 1))")
    }
    return .ok
  }
}
