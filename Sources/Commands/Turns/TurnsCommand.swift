import Base
import Events
import HTTP

/// `kfm turns list|show|cancel`.
struct TurnsCommand: Command {
  private enum Verb {
    case list(limit: Int)
    case show(String)
    case cancel(String)
  }

  static let list = CommandDefinition(
    words: ["turns", "list"], summary: "turns, newest first",
    flags: [
      FlagDefinition(
        name: "limit", kind: .integer("N", 1...100_000), summary: "at most so many (20)"),
      .json,
    ],
    examples: [
      Example("kfm turns list", "the last 20"),
      Example("kfm turns list --limit 500 --json", "more of them, one JSON object a line"),
    ]
  ) { typed throws(UsageError) in
    TurnsCommand(.list(limit: typed.integer("limit") ?? 20), typed)
  }

  static let show = CommandDefinition(
    words: ["turns", "show"], summary: "a turn's status, answer, sources and receipt",
    arguments: [turnArgument], flags: [.json],
    examples: [Example("kfm turns show 01ARZ3NDEKTSV4RRFFQ69G5FAV", "one turn")]
  ) { typed throws(UsageError) in TurnsCommand(.show(typed.argument(0) ?? ""), typed) }

  static let cancel = CommandDefinition(
    words: ["turns", "cancel"], summary: "stop a turn that waits or runs",
    arguments: [turnArgument], flags: [.json],
    examples: [Example("kfm turns cancel 01ARZ3NDEKTSV4RRFFQ69G5FAV", "stop it")]
  ) { typed throws(UsageError) in TurnsCommand(.cancel(typed.argument(0) ?? ""), typed) }

  private static let turnArgument = ArgumentDefinition(
    name: "TURN", kind: .turn, summary: "the turn's id")

  private let verb: Verb
  private let config: String?
  private let isJSON: Bool

  private init(_ verb: Verb, _ typed: TypedArguments) {
    self.verb = verb
    config = typed["config"]
    isJSON = typed.has("json")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let client = try NodeClient(context, target: .find(in: context, config: config))
    defer { client.close() }
    switch verb {
    case .list(let limit):
      let page = min(limit, Self.pageMax)
      show(try client.items("/v1/turns?limit=\(page)", limit: limit), context.output)
    case .show(let id): show(try client.json(NodeRequest(path: "/v1/turns/\(id)")), context)
    case .cancel(let id):
      var request = NodeRequest(path: "/v1/turns/\(id)/cancel")
      request.method = .post
      let turn = try client.json(request)
      if isJSON {
        context.output.line(turn.text)
      } else {
        context.output.line("\(id): \(turn["status"]?.string ?? "?")")
      }
    }
    return .ok
  }

  /// Items of one page; the node gives no more.
  private static let pageMax = 100

  private func show(_ turns: [JSON], _ output: OutputWriter) {
    guard !isJSON else {
      for turn in turns { output.line(turn.text) }
      return
    }
    var table = TextTable([
      .init("TURN"), .init("STATUS"), .init("CREATED"), .init("PERSONALITY"), .init("SESSION"),
    ])
    for turn in turns {
      table.add(
        ["turn_id", "status", "created_at", "personality_id", "session_id"].map {
          turn[$0]?.string ?? "-"
        })
    }
    table.write(to: output)
  }

  private func show(_ turn: JSON, _ context: CommandContext) {
    let output = context.output
    guard !isJSON, let object = turn.object else { return output.line(turn.text) }
    let apart = ["answer", "sources", "receipt", "error"]
    for member in object.members where !apart.contains(member.name) {
      output.line("\(member.name): \(member.value.string ?? member.value.text)")
    }
    if let error = turn["error"] { output.line("error: \(TurnReport.describe(error: error))") }
    for line in TurnReport.sources(turn["sources"]) { output.line(line) }
    if let receipt = turn["receipt"] { output.line(TurnReport.receipt(receipt)) }
    if let answer = turn["answer"]?.string {
      output.line("")
      output.line(output.isTerminal ? TerminalText.safe(answer) : answer)
    }
  }
}
