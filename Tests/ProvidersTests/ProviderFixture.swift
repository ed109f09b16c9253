import Base
import Events
import HTTP
import Providers
import TestSupport
import UringIO

func request(
  _ text: String = "What is a ring?", model: String? = nil, route: String = "default",
  passages: [Passage] = [], schema: JSON? = nil
) -> GenerateRequest {
  GenerateRequest(
    model: model, route: route,
    messages: [ChatMessage(.system, "Be brief."), ChatMessage(.user, text)],
    tools: [], temperature: nil, maxOutputTokens: nil, responseSchema: schema, passages: passages,
    traceID: "0123456789abcdef0123456789abcdef")
}

func fields(_ list: [String]) -> HTTPFields {
  let text = (["GET / HTTP/1.1", "host: x"] + list).joined(separator: "\r\n") + "\r\n\r\n"
  var parser = RequestParser(bodyBytesMax: 0)
  var offset = 0
  let event = Array(text.utf8).withUnsafeBytes { try? parser.next($0, at: &offset) }
  guard case .head(let head) = event else { preconditionFailure("a test's fields are wrong") }
  return head.fields
}

/// What a server answers to one request, played on the loop.
struct ScriptedAnswer {
  var status = 200
  var fields = ["content-type: text/event-stream"]
  /// Each piece is one read.
  var body: [[UInt8]] = []
  /// Nil: the exchange stays open.
  var end: Result<Void, TransportFailure>? = .success(())

  static func stream(_ text: String) -> ScriptedAnswer {
    ScriptedAnswer(body: [Array(text.utf8)])
  }

  static func error(_ status: Int, _ body: String = "", fields: [String] = []) -> ScriptedAnswer {
    ScriptedAnswer(status: status, fields: fields, body: [Array(body.utf8)])
  }
}

/// Answers requests from a list, the last one again and again.
final class ScriptedTransport: HTTPTransport {
  private let loop: EventLoop
  private var answers: [ScriptedAnswer?]
  private(set) var requests: [HTTPClientRequest] = []
  private(set) var cancelled = 0

  /// A nil answer is a connection that is refused.
  init(_ loop: EventLoop, _ answers: [ScriptedAnswer?]) {
    self.loop = loop
    self.answers = answers
  }

  func start(_ request: HTTPClientRequest, _ events: HTTPResponseEvents) -> any Cancellable {
    requests.append(request)
    let answer = answers.count > 1 ? answers.removeFirst() : answers[0]
    let exchange = Exchange { [self] in cancelled += 1 }
    loop.enqueue { exchange.play(answer, events) }
    return exchange
  }

  final class Exchange: Cancellable {
    private var isOpen = true
    private let onCancel: () -> Void

    init(onCancel: @escaping () -> Void) { self.onCancel = onCancel }

    func cancel() {
      if isOpen { onCancel() }
      isOpen = false
    }

    func play(_ answer: ScriptedAnswer?, _ events: HTTPResponseEvents) {
      guard isOpen else { return }
      guard let answer else {
        isOpen = false
        return events.onEnd(.failure(.unreachable("connection refused")))
      }
      events.onHead(answer.status, fields(answer.fields))
      for piece in answer.body where isOpen { piece.withUnsafeBytes { events.onBody($0) } }
      guard isOpen, let end = answer.end else { return }
      isOpen = false
      events.onEnd(end)
    }
  }
}

/// What a sink saw.
final class CallRecorder {
  private(set) var deltas: [String] = []
  private(set) var result: CallResult?
  private(set) var failure: CallFailure?
  private(set) var lastEvents = 0

  func sink(_ event: CallEvent) {
    switch event {
    case .delta(let text): deltas.append(text)
    case .finished(let result):
      self.result = result
      lastEvents += 1
    case .failed(let failure):
      self.failure = failure
      lastEvents += 1
    }
  }

  var text: String { deltas.joined() }
}

final class GenerateRecorder {
  /// Deltas as `+text`, a restart as `!`.
  private(set) var log: [String] = []
  private(set) var result: GenerateResult?
  private(set) var failure: TurnFailure?
  private(set) var failedUsage: Usage?
  private(set) var lastEvents = 0

  func sink(_ event: GenerateEvent) {
    switch event {
    case .delta(let text): log.append("+" + text)
    case .restarted: log.append("!")
    case .finished(let result):
      self.result = result
      lastEvents += 1
    case .failed(let failure, let usage):
      self.failure = failure
      failedUsage = usage
      lastEvents += 1
    }
  }
}

/// Chunks as a vendor sends them.
enum Chunks {
  static func delta(_ json: String, finish: String = "null") -> String {
    #"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":"#
      + json + #","logprobs":null,"finish_reason":"# + finish + "}]}\n\n"
  }

  static func text(_ text: String) -> String {
    delta(#"{"content":"# + JSON.string(text).text + "}")
  }

  static let role = delta(#"{"role":"assistant","content":"","refusal":null}"#)
  static let stop = delta("{}", finish: #""stop""#)
  static let usage =
    #"data: {"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":3,"total_tokens":24,"#
    + #""prompt_tokens_details":{"cached_tokens":8}}}"#
    + "\n\n"
  static let done = "data: [DONE]\n\n"

  static func answer(_ words: [String]) -> String {
    role + words.map { text($0) }.joined() + stop + usage + done
  }
}
