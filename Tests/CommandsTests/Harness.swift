import Base
import Commands
import HTTP
import UringIO

/// Keeps what is written; refuses once it is told to.
final class MemorySink: OutputSink {
  private(set) var bytes: [UInt8] = []
  var failure: OutputFailure?

  var text: String { String(decoding: bytes, as: UTF8.self) }
  var lines: [String] { text.split(separator: "\n").map(String.init) }

  func write(_ bytes: UnsafeRawBufferPointer) throws(OutputFailure) {
    if let failure { throw failure }
    self.bytes.append(contentsOf: bytes)
  }
}

final class FixedInput: InputSource {
  let isTerminal = false
  private let text: String

  init(_ text: String) { self.text = text }

  func readAll(limit: ByteCount) -> [UInt8]? {
    text.utf8.count <= limit.bytes ? Array(text.utf8) : nil
  }

  private lazy var lines = text.split(separator: "\n").map { Array($0.utf8) }[...]

  func readLine(limit: ByteCount) -> InputLine {
    guard let line = lines.popFirst() else { return .end }
    return line.count <= limit.bytes ? .line(line) : .failed
  }
}

/// How a made-up node answers one request.
struct FakeReply {
  var status = 200
  /// Handed over one by one, on turns of the loop of their own.
  var pieces: [String] = []
  var end: Result<Void, TransportFailure> = .success(())

  static func json(_ status: Int, _ value: JSON) -> FakeReply {
    FakeReply(status: status, pieces: [value.text])
  }

  static func problem(_ status: Int, _ code: String, _ detail: String) -> FakeReply {
    json(status, ["status": .int(Int64(status)), "code": .string(code), "detail": .string(detail)])
  }

  static let gone = FakeReply(status: 0, end: .failure(.unreachable("nobody listens")))
}

/// A transport that leads to a function.
final class FakeTransport: HTTPTransport {
  private let loop: EventLoop
  private let answer: (HTTPClientRequest) -> FakeReply

  init(_ loop: EventLoop, _ answer: @escaping (HTTPClientRequest) -> FakeReply) {
    self.loop = loop
    self.answer = answer
  }

  func start(_ request: HTTPClientRequest, _ events: HTTPResponseEvents) -> any Cancellable {
    let exchange = Exchange()
    let reply = answer(request)
    loop.enqueue {
      guard !exchange.isCancelled else { return }
      if reply.status != 0 { events.onHead(reply.status, .empty) }
      self.deliver(reply, from: 0, events, exchange)
    }
    return exchange
  }

  private func deliver(
    _ reply: FakeReply, from index: Int, _ events: HTTPResponseEvents, _ exchange: Exchange
  ) {
    guard !exchange.isCancelled else { return }
    guard index < reply.pieces.count else { return events.onEnd(reply.end) }
    Array(reply.pieces[index].utf8).withUnsafeBytes { events.onBody($0) }
    loop.enqueue { self.deliver(reply, from: index + 1, events, exchange) }
  }

  private final class Exchange: Cancellable {
    private(set) var isCancelled = false
    func cancel() { isCancelled = true }
  }
}

/// One run of the program inside the test's process.
struct ProgramRun {
  var environment = ["KFM_URL": "http://127.0.0.1:8080"]
  var workingDirectory = "/"
  var input = ""
  var outputIsTerminal = false
  var outputFailure: OutputFailure?
  var answer: (HTTPClientRequest) -> FakeReply = { _ in .gone }

  struct Outcome {
    var exitCode: ExitCode
    var output: String
    var errors: String
  }

  static let table = CommandTable { _ throws(CommandFailure) in
    throw CommandFailure(.failed, "no node here")
  }

  func run(_ words: String...) -> Outcome { run(words) }

  func run(_ words: [String]) -> Outcome {
    let output = MemorySink()
    output.failure = outputFailure
    let errors = MemorySink()
    let answer = answer
    let context = CommandContext(
      environment: environment,
      directories: .init(
        working: workingDirectory, executable: "/opt/kfm/bin/kfm", hostName: "test"),
      streams: .init(
        input: FixedInput(input), output: OutputWriter(output, isTerminal: outputIsTerminal),
        errors: OutputWriter(errors, isTerminal: outputIsTerminal)),
      random: SeededRandom(seed: 1),
      makeTransport: { FakeTransport($0, answer) })
    let exitCode = Program(table: Self.table).run(words, in: context)
    return Outcome(exitCode: exitCode, output: output.text, errors: errors.text)
  }
}

/// Server-sent events as the gateway writes them.
enum EventText {
  static func event(_ name: String, _ id: String?, _ data: JSON) -> String {
    "event: \(name)\n" + (id.map { "id: \($0)\n" } ?? "") + "data: \(data.text)\n\n"
  }

  static func turn(
    answer pieces: [String], end: String = "turn.completed", more: JSONObject = [:]
  ) -> [String] {
    var events = [event("turn.accepted", "65536.1", ["turn_id": "T", "session_id": "s"])]
    for (index, piece) in pieces.enumerated() {
      events.append(
        event(
          "delta", "65536.\(index + 2)",
          ["turn_id": "T", "step_id": "S", "text": .string(piece)]))
    }
    var data: JSONObject = [
      "turn_id": "T", "session_id": "s", "step_id": "S", "answer": .string(pieces.joined()),
      "receipt": ["tokens_in": 11, "tokens_out": 3, "provider_us": 1_500, "node_us": 200],
    ]
    for member in more.members { data[member.name] = member.value }
    events.append(event(end, "65536.\(pieces.count + 2)", .object(data)))
    return events
  }
}
