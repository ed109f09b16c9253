import Base

/// `kfm lag`.
struct LagCommand: Command {
  static let definition = CommandDefinition(
    words: ["lag"], summary: "how far consumer groups are behind, by partition",
    flags: [
      .json,
      FlagDefinition(name: "all", kind: nil, summary: "also partitions that are not behind"),
    ],
    examples: [
      Example("kfm lag", "where something waits"),
      Example("kfm lag --json", "every partition, one JSON object a line"),
    ]
  ) { typed throws(UsageError) in LagCommand(typed) }

  private let config: String?
  private let isJSON: Bool
  private let showsAll: Bool

  private init(_ typed: TypedArguments) {
    config = typed["config"]
    isJSON = typed.has("json")
    showsAll = typed.has("all")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let client = try NodeClient(context, target: .find(in: context, config: config))
    defer { client.close() }
    let rows = try client.items("/v1/admin/lag")
    guard !isJSON else {
      for row in rows { context.output.line(row.text) }
      return .ok
    }
    show(rows, context)
    return .ok
  }

  private func show(_ rows: [JSON], _ context: CommandContext) {
    var table = TextTable([
      .init("GROUP"), .init("TOPIC"), .init("PARTITION", .right), .init("MESSAGES", .right),
      .init("SECONDS", .right),
    ])
    for row in rows {
      let messages = row["lag_messages"]?.int ?? 0
      guard showsAll || messages > 0 else { continue }
      table.add([
        row["group"]?.string ?? "-", row["topic"]?.string ?? "-",
        "\(row["partition"]?.int ?? 0)", "\(messages)",
        Quantity.fixed(row["lag_seconds"]?.number ?? 0, places: 3),
      ])
    }
    guard !table.isEmpty else {
      return context.output.line("no group is behind (\(rows.count) partitions)")
    }
    table.write(to: context.output)
  }
}
