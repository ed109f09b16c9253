import Base

/// `kfm topics list`.
struct TopicsListCommand: Command {
  static let definition = CommandDefinition(
    words: ["topics", "list"], summary: "topics on the bus, their sizes and promises",
    flags: [.json, .offline, .dataDirectory],
    examples: [
      Example("kfm topics list", "through the node"),
      Example("kfm topics list --offline --json", "from the data directory, without a node"),
    ]
  ) { typed throws(UsageError) in try TopicsListCommand(typed) }

  private let config: String?
  private let isJSON: Bool
  private let isOffline: Bool
  private let directory: String?

  private init(_ typed: TypedArguments) throws(UsageError) {
    config = typed["config"]
    isJSON = typed.has("json")
    isOffline = typed.has("offline")
    directory = try typed.offlineDirectory()
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let rows: [JSON]
    if isOffline {
      rows = try OfflineTopics(context, config: config, directory: directory).topics()
    } else {
      let client = try NodeClient(context, target: .find(in: context, config: config))
      defer { client.close() }
      rows = try client.items("/v1/admin/topics")
    }
    show(rows, context.output)
    return .ok
  }

  private func show(_ rows: [JSON], _ output: OutputWriter) {
    guard !isJSON else {
      for row in rows { output.line(row.text) }
      return
    }
    var table = TextTable([
      .init("TOPIC"), .init("PARTITIONS", .right), .init("MESSAGES", .right),
      .init("BYTES", .right), .init("RETENTION", .right), .init("DURABILITY"),
    ])
    for row in rows {
      let stream = row["stream"]?.string ?? ""
      let name = row["topic"]?.string ?? ""
      table.add([
        stream == "agent" || stream == name ? name : "\(stream)/\(name)",
        "\(row["partitions"]?.int ?? 0)", "\(row["messages"]?.int ?? 0)",
        Quantity.bytes(Int(row["bytes"]?.int ?? 0)), row["retention"]?.string ?? "-",
        row["durability"]?.string ?? "-",
      ])
    }
    table.write(to: output)
  }
}

extension FlagDefinition {
  static let offline = FlagDefinition(
    name: "offline", kind: nil, summary: "read the data directory itself; no node needed")
  static let dataDirectory = FlagDefinition(
    name: "data-dir", kind: .directory, summary: "with --offline: which one (node.data_dir)")
}

extension TypedArguments {
  /// The directory that `--offline` is to read; nil for the configured one.
  func offlineDirectory() throws(UsageError) -> String? {
    guard let directory = self["data-dir"] else { return nil }
    guard has("offline") else {
      throw UsageError("--data-dir names what --offline reads; a running node has its own")
    }
    return directory
  }
}
