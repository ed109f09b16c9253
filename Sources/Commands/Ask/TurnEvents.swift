import Base
import HTTP

/// Turns an answer of the node into a turn's events, or into why there are none.
final class TurnEvents {
  enum End {
    /// The stream ended after its events; nil when the connection was cut.
    case streamEnded(TransportFailure?)
    /// The node gave no stream.
    case refused(NodeReply)
    /// What came cannot be read.
    case unreadable(String)
  }

  private let onEvent: (ReceivedEvent) -> Void
  private let onEnd: (End) -> Void
  private var decoder = SSEDecoder()
  private var reply = NodeReply()
  private var lastID: String?
  private var isOver = false
  private var exchange: (any Cancellable)?

  init(onEvent: @escaping (ReceivedEvent) -> Void, onEnd: @escaping (End) -> Void) {
    self.onEvent = onEvent
    self.onEnd = onEnd
  }

  /// Nothing is told after `cancel`.
  func start(_ request: NodeRequest, _ client: NodeClient) {
    exchange = client.start(
      request,
      HTTPResponseEvents(
        onHead: { status, _ in self.reply.status = status },
        onBody: { self.take($0) },
        onEnd: { self.ended($0) }))
  }

  func cancel() {
    isOver = true
    exchange?.cancel()
    exchange = nil
  }

  private func take(_ bytes: UnsafeRawBufferPointer) {
    guard !isOver else { return }
    guard reply.status == 200 else { return reply.body.append(contentsOf: bytes) }
    do throws(SSEFailure) {
      try decoder.feed(bytes) { self.decode($0) }
    } catch {
      finish(.unreadable("the stream breaks a limit: \(error)"))
    }
  }

  private func decode(_ event: SSEEvent) {
    guard !isOver else { return }
    // The decoder repeats the last id for an event that has none.
    let id = event.idText
    let isOwn = !id.isEmpty && id != lastID
    if isOwn { lastID = id }
    guard let data = try? JSON(parsing: event.data) else {
      return finish(.unreadable("an event is not JSON"))
    }
    onEvent(ReceivedEvent(name: event.nameText, id: isOwn ? id : nil, data: data))
  }

  private func ended(_ result: Result<Void, TransportFailure>) {
    guard !isOver else { return }
    switch result {
    case .failure(let error): finish(.streamEnded(error))
    case .success where reply.status == 200: finish(.streamEnded(nil))
    case .success: finish(.refused(reply))
    }
  }

  private func finish(_ end: End) {
    cancel()
    onEnd(end)
  }
}
