import Base
import Events
import HTTP

/// One exchange with a Chat Completions server: feeds what arrives to the decoders and reports
/// what they find. The deltas of one read are joined into one: a fast provider sends dozens of
/// tokens a packet, and every delta becomes a record and an event downstream.
final class OpenAICall: Cancellable {
  private enum Phase {
    case waitingForHead
    /// `text/event-stream`.
    case streaming
    /// A whole JSON answer, from a server that does not stream.
    case collectingAnswer
    case collectingError(status: Int)
    /// Reported; what still comes is dropped.
    case ended
  }

  private let request: GenerateRequest
  private let normalizer: ErrorNormalizer
  private let clock: any Clock
  private let began: Nanoseconds
  private let sink: (CallEvent) -> Void
  private var phase = Phase.waitingForHead
  private var decoder = SSEDecoder()
  private var stream: ChatCompletionStream
  private var body: [UInt8] = []
  private var retryAfter: Nanoseconds?
  private var serverRetries: Bool?
  private var exchange: (any Cancellable)?
  /// The head said 200: the provider has begun to work, and charges for it.
  private var isCharged = false

  init(
    request: GenerateRequest, normalizer: ErrorNormalizer, stream: ChatCompletionStream,
    clock: any Clock, sink: @escaping (CallEvent) -> Void
  ) {
    self.request = request
    self.normalizer = normalizer
    self.stream = stream
    self.clock = clock
    self.sink = sink
    began = clock.monotonic()
  }

  /// The transport holds this object until the exchange has ended.
  func start(_ http: HTTPClientRequest, on transport: any HTTPTransport) {
    exchange = transport.start(
      http,
      HTTPResponseEvents(
        onHead: { [self] in head(status: $0, fields: $1) },
        onBody: { [self] in received($0) },
        onEnd: { [self] in ended($0) }))
  }

  func cancel() {
    phase = .ended
    exchange?.cancel()
    exchange = nil
  }

  private func head(status: Int, fields: HTTPFields) {
    guard case .waitingForHead = phase else { return }
    guard (200..<300).contains(status) else {
      retryAfter = RetryAfter.parse(
        milliseconds: fields["retry-after-ms"], value: fields["retry-after"], now: clock.wall())
      serverRetries = fields["x-should-retry"].flatMap { Bool($0) }
      phase = .collectingError(status: status)
      return
    }
    isCharged = true
    let type = fields["content-type"]?.lowercased() ?? ""
    if type.hasPrefix("application/json") {
      phase = .collectingAnswer
    } else if type.isEmpty || type.hasPrefix("text/event-stream") {
      phase = .streaming
    } else {
      abort(normalizer.failure(.providerProtocol, "answered with \(type), not an event stream"))
    }
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    switch phase {
    case .streaming: decode(bytes)
    case .collectingAnswer:
      guard body.count + bytes.count <= ChatCompletionStream.textBytesMax else {
        return abort(
          normalizer.failure(.providerProtocol, "an answer that is too long", retryable: false))
      }
      body.append(contentsOf: bytes)
    case .collectingError:
      let room = ErrorNormalizer.bodyBytesMax - body.count
      body.append(contentsOf: bytes.prefix(room))
    case .waitingForHead, .ended: break
    }
  }

  private func decode(_ bytes: UnsafeRawBufferPointer) {
    var text = ""
    var failure: TurnFailure?
    var isDone = false
    do throws(SSEFailure) {
      try decoder.feed(bytes) { event in
        guard failure == nil, !isDone else { return }
        switch stream.consume(event.data) {
        case .none: break
        case .text(let piece): if text.isEmpty { text = piece } else { text += piece }
        case .done: isDone = true
        case .failed(let found): failure = found
        }
      }
    } catch {
      failure =
        failure ?? normalizer.failure(.providerProtocol, error.description, retryable: false)
    }
    if !text.isEmpty { sink(.delta(text)) }
    // The sink may have cancelled.
    guard case .streaming = phase else { return }
    if let failure {
      abort(failure)
    } else if isDone {
      finish(markSeen: true)
    }
  }

  private func ended(_ result: Result<Void, TransportFailure>) {
    exchange = nil
    switch (phase, result) {
    case (.ended, _): break
    case (.collectingError(let status), _):
      // The status tells more than how the connection ended.
      report(normalizer.failure(status: status, body: body))
    case (.streaming, .failure(let cause)) where !stream.hasFinished:
      report(normalizer.failure(cause, headSeen: true))
    case (.streaming, _): finish(markSeen: false)
    case (.collectingAnswer, .success): finishWhole()
    case (.collectingAnswer, .failure(let cause)):
      report(normalizer.failure(cause, headSeen: true))
    case (.waitingForHead, .failure(let cause)):
      report(normalizer.failure(cause, headSeen: false))
    case (.waitingForHead, .success):
      report(normalizer.failure(.providerProtocol, "an exchange without an answer"))
    }
  }

  private func finishWhole() {
    let event = body.withUnsafeBytes { stream.consume($0) }
    if case .failed(let failure) = event { return report(failure) }
    if case .text(let text) = event {
      sink(.delta(text))
      guard case .collectingAnswer = phase else { return }
    }
    finish(markSeen: false)
  }

  private func finish(markSeen: Bool) {
    switch stream.completion(markSeen: markSeen) {
    case .failure(let failure): report(failure)
    case .success(let answer):
      phase = .ended
      sink(
        .finished(
          CallResult(
            text: answer.text, toolCalls: answer.toolCalls, finishReason: answer.finishReason,
            usage: usage(tokens: answer.tokens, text: answer.text))))
    }
  }

  /// Ends the exchange before its end.
  private func abort(_ failure: TurnFailure) {
    exchange?.cancel()
    exchange = nil
    report(failure)
  }

  private func report(_ failure: TurnFailure) {
    phase = .ended
    var charged = Usage()
    if isCharged { charged = usage(tokens: nil, text: stream.textSoFar) }
    charged.providerTime = clock.monotonic() - began
    sink(
      .failed(
        CallFailure(
          failure, retryAfter: retryAfter, serverRetries: serverRetries, usage: charged)))
  }

  private func usage(tokens: TokenCounts?, text: String) -> Usage {
    var usage = Usage()
    usage.tokensIn = tokens?.input ?? TokenEstimator.tokens(of: request)
    usage.tokensOut = tokens?.output ?? TokenEstimator.tokens(of: text)
    usage.tokensCached = tokens?.cached ?? 0
    usage.estimated = tokens == nil
    usage.providerTime = clock.monotonic() - began
    return usage
  }
}
