import Base

/// `kfm ask`: one question in, one streamed answer out.
struct AskCommand: Command {
  static let definition = CommandDefinition(
    words: ["ask"], summary: "ask a question; the answer streams on standard output",
    arguments: [
      ArgumentDefinition(
        name: "QUESTION", kind: .text("QUESTION"),
        summary: "in quotes; - reads it from standard input")
    ],
    flags: [
      FlagDefinition(
        name: "personality", kind: .text("NAME"), summary: "the pack that answers (packs.default)"),
      FlagDefinition(
        name: "session", kind: .text("ID"), summary: "goes on with a session; else a new one"),
      FlagDefinition(
        name: "model", kind: .text("PROVIDER/MODEL"), summary: "instead of the pack's route"),
      FlagDefinition(name: "no-stream", kind: nil, summary: "print the answer when it is whole"),
      FlagDefinition(
        name: "json", kind: nil,
        summary: "print the turn's last event as one JSON object, also when it failed"),
    ],
    examples: [
      Example("kfm ask \"How does HNSW choose neighbours?\"", "a question of its own"),
      Example("kfm ask --session tour \"And why?\"", "a question about the one before"),
      Example("kfm ask --personality minimal - <question.txt", "from a file"),
      Example("kfm ask --json \"Say hello.\"", "for a program"),
    ]
  ) { typed throws(UsageError) in AskCommand(typed) }

  /// The node's default of `http.body_max`.
  private static let questionMax = ByteCount(4 << 20)

  private let question: String
  private let fields: [(name: String, value: String)]
  private let config: String?
  private let isJSON: Bool
  private let streams: Bool

  private init(_ typed: TypedArguments) {
    question = typed.argument(0) ?? ""
    let names = [("personality", "personality_id"), ("session", "session_id"), ("model", "model")]
    fields = names.compactMap { flag, name in typed[flag].map { (name, $0) } }
    config = typed["config"]
    isJSON = typed.has("json")
    streams = !isJSON && !typed.has("no-stream")
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let target = try NodeTarget.find(in: context, config: config)
    var body: JSONObject = ["user_message": .string(try message(context))]
    for field in fields { body[field.name] = .string(field.value) }
    let client = try NodeClient(context, target: target)
    defer { client.close() }
    let isLive = streams && context.output.isTerminal
    let session = AskSession(
      client: client, context: context, stream: AnswerStream(isLive ? .live : .whole),
      printsText: !isJSON)
    let end = try session.ask(.object(body))
    if let end { report(end, context) }
    return session.exitCode(end)
  }

  private func message(_ context: CommandContext) throws(CommandFailure) -> String {
    guard question == "-" else { return question }
    if context.input.isTerminal { context.say("reading the question; ^D ends it") }
    guard let bytes = context.input.readAll(limit: Self.questionMax) else {
      throw CommandFailure(
        .usage, "standard input cannot be read, or holds more than \(Self.questionMax.sizeText)")
    }
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw CommandFailure(.usage, "standard input is not UTF-8")
    }
    // The line's end is the shell's, not the question's.
    while text.last?.isNewline == true { text.removeLast() }
    guard !text.isEmpty else {
      throw CommandFailure(.usage, "there is no question on standard input")
    }
    return text
  }

  private func report(_ end: TurnEnd, _ context: CommandContext) {
    if isJSON { context.output.line(end.json.text) }
    if let complaint = end.complaint { context.errors.line("kfm: \(complaint)") }
    guard !isJSON else { return }
    let style = context.errors.style
    for line in TurnReport.sources(end.data["sources"]) { context.errors.line(style.dim(line)) }
    if let receipt = end.data["receipt"] {
      let session = end.data["session_id"]?.string.map { ", session \($0)" } ?? ""
      context.errors.line(style.dim(TurnReport.receipt(receipt) + session))
    }
  }
}
