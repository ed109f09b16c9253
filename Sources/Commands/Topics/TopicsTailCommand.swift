import Base
import Events
import Gateway
import HTTP
import UringIO

/// `kfm topics tail`.
struct TopicsTailCommand: Command {
  static let definition = CommandDefinition(
    words: ["topics", "tail"], summary: "records of a topic, in the order they were appended",
    arguments: [
      ArgumentDefinition(
        name: "TOPIC", kind: .topic, summary: "as `kfm topics list` names it")
    ],
    flags: [
      FlagDefinition(
        name: "from", kind: .start,
        summary: "where to begin in each partition: first, last (its last record) or an offset"),
      FlagDefinition(
        name: "count", kind: .integer("N", 1...Int.max), summary: "at most so many records in all"),
      FlagDefinition(name: "follow", kind: nil, summary: "wait for more at the end"),
      .json, .offline, .dataDirectory,
    ],
    examples: [
      Example("kfm topics tail agent.turns.requests --from first --json", "everything, as JSON"),
      Example("kfm topics tail agent.journal --from last --count 5", "the ends of partitions"),
      Example("kfm topics tail metrics/token-usage --follow", "what comes from now on"),
      Example(
        "kfm topics tail bench --offline --data-dir /tmp/kfm-bench --json",
        "what `kfm bench append` has written"),
    ]
  ) { typed throws(UsageError) in try TopicsTailCommand(typed) }

  private let topic: Topic
  private let start: TailRequest.Start
  private let count: Int?
  private let follows: Bool
  private let config: String?
  private let isJSON: Bool
  private let isOffline: Bool
  private let directory: String?

  private init(_ typed: TypedArguments) throws(UsageError) {
    guard let topic = typed.argument(0).flatMap({ Topic(path: $0) }) else {
      throw UsageError("TOPIC is missing")
    }
    self.topic = topic
    count = typed.integer("count")
    follows = typed.has("follow")
    start = Self.start(typed["from"]) ?? (follows ? .last : .first)
    config = typed["config"]
    isJSON = typed.has("json")
    isOffline = typed.has("offline")
    directory = try typed.offlineDirectory()
    if isOffline && follows {
      throw UsageError("--offline has an end: it cannot --follow")
    }
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    var printer = RecordPrinter(output: context.output, isJSON: isJSON)
    if isOffline {
      let request = TailRequest(topic: topic, start: start, countMax: count)
      try OfflineTopics(context, config: config, directory: directory).tail(request) { lines in
        lines.withUnsafeBytes { printer.feed($0) }
      }
    } else {
      let client = try NodeClient(context, target: .find(in: context, config: config))
      defer { client.close() }
      try RecordTail(client: client, request: request).run { bytes in
        printer.feed(bytes)
        return context.output.isOpen
      }
    }
    return .ok
  }

  private static func start(_ text: String?) -> TailRequest.Start? {
    switch text {
    case nil: nil
    case "first": .first
    case "last": .last
    case .some(let text): UInt64(text).map { .offset($0) }
    }
  }

  private var request: NodeRequest {
    let from =
      switch start {
      case .first: "first"
      case .last: "last"
      case .offset(let offset): "\(offset)"
      }
    var query = ["from=\(from)"]
    if let count { query.append("count=\(count)") }
    if follows { query.append("follow=true") }
    var request = NodeRequest(
      path: "/v1/admin/topics/\(topic.stream)/\(topic.name)/records?"
        + query.joined(separator: "&"))
    request.total = NodeRequest.streamTotal
    // Nothing is sent while nothing is appended.
    if follows { request.idle = NodeRequest.streamTotal }
    return request
  }
}

/// Lines of records as they come from the node.
struct RecordTail {
  let client: NodeClient
  let request: NodeRequest

  /// Waits until the node has sent everything, or `take` returns false.
  func run(_ take: @escaping (UnsafeRawBufferPointer) -> Bool) throws(CommandFailure) {
    var reply = NodeReply()
    var end: Result<Void, TransportFailure>?
    var isEnough = false
    let exchange = client.start(
      request,
      HTTPResponseEvents(
        onHead: { status, _ in reply.status = status },
        onBody: { bytes in
          guard reply.status == 200 else { return reply.body.append(contentsOf: bytes) }
          if !take(bytes) {
            isEnough = true
            client.loop.stop()
          }
        },
        onEnd: {
          end = $0
          client.loop.stop()
        }))
    client.loop.run()
    exchange.cancel()
    if isEnough { return }
    if case .failure(let error) = end { throw client.failure(error) }
    if reply.status != 200 { throw reply.refusal }
  }
}
