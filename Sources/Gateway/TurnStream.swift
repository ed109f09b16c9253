import Base
import Events
import HTTP

/// A turn's events on their way to one client, as server-sent events. All events of one call leave
/// in one piece. A client that does not keep up is cut by the server's queue limit and resumes
/// with `Last-Event-ID` (SEMANTICS D20).
final class TurnStream: TurnStreamSubscriber, OpenStream {
  /// How often a comment keeps proxies awake (SURFACE).
  static let keepAliveInterval = Nanoseconds.seconds(15)

  /// The client closed its connection before the end.
  var onClientGone: (() -> Void)?

  private let exchange: Exchange
  private let context: GatewayContext
  private var attachment: (any Cancellable)?
  private var keepAlive: (any Cancellable)?
  private var isOver = false

  init(exchange: Exchange, context: GatewayContext) {
    self.exchange = exchange
    self.context = context
  }

  /// Answers with the turn's events after `lastEventID`, or with why there are none. `fields` are
  /// added to the answer's head.
  func attach(_ turnID: ULID, after lastEventID: String?, fields: [HTTPField] = []) {
    // Owned by the exchange from here on, until its answer is over.
    exchange.onClientGone = { reason in self.clientGone(reason) }
    context.services.turns.attach(
      turnID, for: exchange.principal, after: lastEventID, subscriber: self
    ) { result in
      self.attached(result, fields)
    }
  }

  func receive(_ events: [StreamEvent]) {
    guard !isOver else { return }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(events.reduce(0) { $0 + $1.data.count + Self.frameBytes })
    for event in events { Self.append(event, to: &bytes) }
    exchange.write(bytes)
    // Writing may have found the client too slow, which ends the stream.
    guard !isOver, events.last?.isTerminal == true else { return }
    close()
    exchange.end()
  }

  /// Room for an event's name, position and line ends.
  private static let frameBytes = 96

  private static func append(_ event: StreamEvent, to bytes: inout [UInt8]) {
    event.data.withUnsafeBytes {
      SSEEncoder.append(
        event: event.name, id: event.position?.description, data: $0, to: &bytes)
    }
  }

  func lost() { cut() }

  func cut() {
    guard !isOver else { return }
    attachment?.cancel()
    close()
    exchange.abort()
  }

  private func attached(_ result: Result<AttachOutcome, Problem>, _ fields: [HTTPField]) {
    switch result {
    case .failure(let problem): exchange.refuse(problem)
    case .success(.ended): exchange.answerNothing()
    case .success(.attached(let attachment)):
      guard !isOver else { return attachment.cancel() }
      exchange.beginEvents(fields)
      if exchange.isHeadOnly {
        attachment.cancel()
        isOver = true
        return exchange.end()
      }
      self.attachment = attachment
      context.opened(self)
      scheduleKeepAlive()
    }
  }

  private func clientGone(_ reason: ClientGone) {
    attachment?.cancel()
    close()
    if reason == .closed { onClientGone?() }
  }

  private func close() {
    isOver = true
    attachment = nil
    keepAlive?.cancel()
    keepAlive = nil
    context.closed(self)
  }

  private func scheduleKeepAlive() {
    keepAlive = context.timers.schedule(after: Self.keepAliveInterval) { [weak self] in
      guard let self, !isOver else { return }
      var bytes: [UInt8] = []
      SSEEncoder.append(comment: "keep-alive", to: &bytes)
      if exchange.write(bytes) { scheduleKeepAlive() }
    }
  }
}
