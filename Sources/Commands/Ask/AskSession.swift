import Base
import Glibc
import HTTP
import UringIO

/// Drives one question: asks, shows, attaches again when the connection breaks, cancels on ^C.
final class AskSession {
  /// How long a node may be away while a turn of ours runs there: a restart takes a second, a
  /// take-over of many sessions longer.
  static let absenceMax = Nanoseconds.seconds(15)
  static let reattachPause = Nanoseconds.milliseconds(250)
  /// How long ^C waits for the turn's end before the program ends all the same.
  static let cancelPatience = Nanoseconds.seconds(3)

  private let client: NodeClient
  private let context: CommandContext
  private var stream: AnswerStream
  private let printsText: Bool
  private var events: TurnEvents?
  private var end: TurnEnd?
  private var failure: CommandFailure?
  private var isInterrupted = false
  private var hasAskedToCancel = false
  private var absentSince: Nanoseconds?

  init(
    client: NodeClient, context: CommandContext, stream: AnswerStream, printsText: Bool
  ) {
    self.client = client
    self.context = context
    self.stream = stream
    self.printsText = printsText
  }

  /// Returns how the turn ended; nil when nobody waits for it any more.
  func ask(_ body: JSON) throws(CommandFailure) -> TurnEnd? {
    do throws(IOFailure) {
      try client.loop.signals([SIGINT, SIGTERM]) { _ in self.interrupted() }
    } catch {
      throw CommandFailure(.failed, "no signals can be received: \(error)")
    }
    var request = NodeRequest(path: "/v1/turns")
    request.method = .post
    request.accept = "text/event-stream"
    request.body = body
    request.total = NodeRequest.streamTotal
    attach(request)
    client.loop.run()
    events?.cancel()
    if let failure, !isInterrupted { throw failure }
    return end
  }

  func exitCode(_ end: TurnEnd?) -> ExitCode {
    isInterrupted ? .interrupted : end?.exitCode ?? .ok
  }

  private func attach(_ request: NodeRequest) {
    let events = TurnEvents(onEvent: { self.receive($0) }, onEnd: { self.ended($0) })
    self.events = events
    events.start(request, client)
  }

  private func receive(_ event: ReceivedEvent) {
    absentSince = nil
    guard event.name != "error" else {
      let why = event.data["detail"]?.string ?? event.data["message"]?.string ?? "stream failed"
      return fail(CommandFailure(.failed, "the node ended the stream: \(why)"))
    }
    for action in stream.receive(event) { perform(action) }
    context.output.flush()
    // Whoever read the answer has had enough; the turn is the node's.
    if !context.output.isOpen { client.loop.stop() }
    if isInterrupted { cancelTurn() }
  }

  private func perform(_ action: AnswerStream.Action) {
    switch action {
    case .write(let text):
      guard printsText else { return }
      context.output.write(context.output.isTerminal ? TerminalText.safe(text) : text)
    case .breakOff(let notice):
      context.output.line("")
      context.output.flush()
      if let notice { context.say("kfm: \(notice)") }
    case .ended(let end):
      self.end = end
      client.loop.stop()
    }
  }

  private func ended(_ how: TurnEvents.End) {
    guard end == nil else { return }
    switch how {
    case .unreadable(let why): fail(CommandFailure(.failed, "the answer cannot be read: \(why)"))
    case .refused(let reply):
      // A node that starts or drains while a turn of ours is there.
      guard reply.status == 503, let turnID = stream.turnID else { return fail(reply.refusal) }
      attachAgain(turnID, .cut("the node is not ready"))
    case .streamEnded(let error):
      guard let turnID = stream.turnID else {
        return fail(client.failure(error ?? .cut("the stream ended early")))
      }
      attachAgain(turnID, error ?? .cut("the stream ended early"))
    }
  }

  /// The turn goes on without us; what is missed comes with the next attachment.
  private func attachAgain(_ turnID: String, _ error: TransportFailure) {
    let now = client.loop.clock.monotonic()
    if absentSince == nil { context.say("kfm: the connection is gone; attaching again") }
    let since = absentSince ?? now
    absentSince = since
    guard now - since < Self.absenceMax else { return fail(client.failure(error)) }
    client.loop.schedule(after: Self.reattachPause) {
      self.attach(.events(ofTurn: turnID, after: self.stream.lastEventID))
    }
  }

  private func fail(_ failure: CommandFailure) {
    self.failure = failure
    client.loop.stop()
  }

  // MARK: ^C

  private func interrupted() {
    guard !isInterrupted else { return client.loop.stop() }
    isInterrupted = true
    client.loop.schedule(after: Self.cancelPatience) { self.client.loop.stop() }
    cancelTurn()
  }

  /// Without its id the turn cannot be named yet: it is cancelled when its first event comes.
  private func cancelTurn() {
    guard let turnID = stream.turnID, !hasAskedToCancel else { return }
    hasAskedToCancel = true
    var request = NodeRequest(path: "/v1/turns/\(turnID)/cancel")
    request.method = .post
    let ignore = HTTPResponseEvents(
      onHead: { _, _ in }, onBody: { _ in },
      onEnd: { result in
        // Its terminal comes on the stream; without a node there is none.
        if case .failure = result { self.client.loop.stop() }
      })
    client.start(request, ignore)
  }
}
