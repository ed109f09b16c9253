import Base
import Configuration

/// `kfm config check|show|schema`.
struct ConfigCommand: Command {
  private enum Verb { case check, show, schema }

  static let check = CommandDefinition(
    words: ["config", "check"], summary: "check the configuration; every error with its line",
    flags: [.json],
    examples: [
      Example("kfm config check", "the configuration a node would start with"),
      Example("kfm config check --config config.example.toml", "another file"),
    ]
  ) { typed throws(UsageError) in ConfigCommand(.check, typed) }

  static let show = CommandDefinition(
    words: ["config", "show"], summary: "every key, its value and where that comes from",
    flags: [.json],
    examples: [
      Example("kfm config show", "what is in force"),
      Example("KFM_CFG__engine__queue_max=4 kfm config show --json", "as JSON, one key a line"),
    ]
  ) { typed throws(UsageError) in ConfigCommand(.show, typed) }

  static let schema = CommandDefinition(
    words: ["config", "schema"], summary: "the JSON Schema of config.toml, for editors",
    flags: [.json],
    examples: [Example("kfm config schema >config.schema.json", "keep it beside the file")]
  ) { typed throws(UsageError) in ConfigCommand(.schema, typed) }

  private let verb: Verb
  private let config: String?
  private let isJSON: Bool

  private init(_ verb: Verb, _ typed: TypedArguments) {
    self.verb = verb
    config = typed["config"]
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    switch verb {
    case .schema: context.output.line(ConfigSchema.json.text)
    case .show: show(try loaded(context), context.output)
    case .check: report(try loaded(context), context.output)
    }
    return .ok
  }

  private func loaded(_ context: CommandContext) throws(CommandFailure) -> LoadedConfiguration {
    try .load(ConfigInputs(context: context, config: config))
  }

  private func report(_ loaded: LoadedConfiguration, _ output: OutputWriter) {
    let set = loaded.rows.count { $0.source != .initial }
    if isJSON {
      let file: JSON = loaded.file.map { .string($0) } ?? .null
      output.line(JSON.object(["status": "ok", "file": file, "keys_set": .int(Int64(set))]).text)
    } else {
      output.line("\(loaded.file ?? "no file, defaults alone"): good; \(set) keys set")
    }
  }

  private func show(_ loaded: LoadedConfiguration, _ output: OutputWriter) {
    guard !isJSON else {
      for row in loaded.rows { output.line(row.json.text) }
      return
    }
    var table = TextTable([.init("KEY"), .init("VALUE"), .init("SOURCE")])
    for row in loaded.rows {
      let value = row.value.map { $0.string ?? $0.text } ?? "-"
      table.add([row.key, value, row.source.description])
    }
    table.write(to: output)
  }
}
