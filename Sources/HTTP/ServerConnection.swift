import Base
import UringIO

/// One client's connection: reads requests, hands them to the server's handler one at a time,
/// writes the answers. Bytes of later requests wait here, then in the kernel.
final class ServerConnection {
  private enum Phase: Equatable {
    /// Between requests, or in the middle of one.
    case reading
    /// The handler has a request.
    case answering
    /// The answer is complete, but too much of it is queued to start on the next request.
    case sending
    /// A request was refused; what the client still sends is dropped, up to so many bytes.
    case lingering(bytesLeft: Int)
    /// Only what is queued still goes out.
    case closing

    /// No further request is read.
    var isFinal: Bool {
      switch self {
      case .lingering, .closing: true
      case .reading, .answering, .sending: false
      }
    }
  }

  let socket: Socket
  private let server: HTTPServer
  private let isLocalSocket: Bool
  private var parser: RequestParser
  private var phase = Phase.reading
  private var head: RequestHead?
  private var body: [UInt8] = []
  /// Received behind the request being answered; what is before `pendingOffset` is used up.
  private var pending: [UInt8] = []
  private var pendingOffset = 0
  private weak var responder: HTTPResponder?
  /// Guards against recursion: a handler may answer from inside its call.
  private var isConsuming = false
  private var isContinueDue = false
  private var hasPeerEnded = false
  private var isReceivingPaused = false
  private var closesAfterAnswer = false
  private var isBodyChunked = false
  private var isStreaming = false
  private var scratch: [UInt8] = []

  private var deadlines: ConnectionDeadlines
  private var enqueuedBytes = 0

  /// Body bytes reserved on a client's word alone; more are reserved as they come.
  private static let bodyBytesReserved = 256 << 10
  /// Bodies up to this leave in one piece with their head.
  private static let joinedBytesMax = 32 << 10
  private static let continueLine = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

  init(server: HTTPServer, socket: Socket, isLocalSocket: Bool) {
    self.server = server
    self.socket = socket
    self.isLocalSocket = isLocalSocket
    parser = RequestParser(bodyBytesMax: server.limits.bodyBytesMax)
    deadlines = ConnectionDeadlines(limits: server.limits, now: server.loop.clock.monotonic())
  }

  /// The socket's callbacks own the connection until it is closed.
  func start() {
    socket.onReceive = { [self] in received($0) }
    socket.onEnd = { [self] in ended($0) }
    socket.onDrained = { [self] in drained() }
    socket.onClosed = { [self] in
      dropBody()
      server.closed(self)
    }
    socket.startReceiving()
  }

  private var now: Nanoseconds { server.loop.clock.monotonic() }
}

// MARK: - Reading

extension ServerConnection {
  private func received(_ bytes: UnsafeRawBufferPointer) {
    switch phase {
    case .reading:
      let used = consume(bytes)
      keep(UnsafeRawBufferPointer(rebasing: bytes[used...]))
    case .answering, .sending, .lingering: keep(bytes)
    case .closing: break
    }
  }

  /// Parses from `bytes` until they end or a request has to be answered first; returns how many
  /// were used.
  private func consume(_ bytes: UnsafeRawBufferPointer) -> Int {
    isConsuming = true
    defer { isConsuming = false }
    var offset = 0
    while phase == .reading {
      do throws(RequestFailure) {
        guard let event = try parser.next(bytes, at: &offset) else {
          waitForMore()
          break
        }
        try handle(event, bytes)
      } catch {
        refuse(error)
      }
    }
    return offset
  }

  private func handle(
    _ event: RequestParser.Event, _ bytes: UnsafeRawBufferPointer
  ) throws(RequestFailure) {
    switch event {
    case .head(let head):
      self.head = head
      isContinueDue = head.expectsContinue
      if case .length(let length) = head.framing, length <= server.limits.bodyBytesMax {
        body.reserveCapacity(min(length, Self.bodyBytesReserved))
      }
    case .body(let range):
      // A client that does not wait for its 100 needs none.
      isContinueDue = false
      guard server.bodyBytesHeld + range.count <= server.limits.bodiesBytesMax else {
        throw .overloaded("\(server.limits.bodiesBytesMax) bytes of bodies are on their way")
      }
      server.bodyBytesHeld += range.count
      body.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[range]))
    case .end: dispatch()
    }
  }

  private func waitForMore() {
    if isContinueDue {
      isContinueDue = false
      send(Self.continueLine)
    }
    if head != nil {
      deadlines.bodyAdvanced(now)
    } else if !parser.isBetweenRequests {
      deadlines.headAdvanced(now)
    }
  }

  private func dispatch() {
    guard let head else { preconditionFailure("a request ends after its head") }
    let request = HTTPRequest(head: head, body: body, isLocalSocket: isLocalSocket)
    self.head = nil
    dropBody()
    phase = .answering
    deadlines.answerBegan()
    closesAfterAnswer = !head.keepsAlive
    server.statistics.requests.add()
    let responder = HTTPResponder(connection: self, head: head)
    self.responder = responder
    server.handler(request, responder)
  }

  private func dropBody() {
    server.bodyBytesHeld -= body.count
    body = []
  }

  /// Keeps what belongs to later requests; beyond a limit the rest stays in the kernel.
  private func keep(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    switch phase {
    case .lingering(let bytesLeft):
      deadlines.lingerAdvanced(now)
      guard bytes.count <= bytesLeft else { return closeNow(.closed) }
      phase = .lingering(bytesLeft: bytesLeft - bytes.count)
    case .closing: break
    case .reading, .answering, .sending:
      if pendingOffset > 0 { pending.removeSubrange(..<pendingOffset) }
      pendingOffset = 0
      pending.append(contentsOf: bytes)
      if pending.count >= HTTPLimits.pipelineBytesMax, !isReceivingPaused {
        isReceivingPaused = true
        socket.pauseReceiving()
      }
    }
  }

  /// Goes on with what was kept, after an answer.
  private func resume() {
    guard phase == .reading else { return }
    let bytes = pending
    pendingOffset += bytes.withUnsafeBytes {
      consume(UnsafeRawBufferPointer(rebasing: $0[pendingOffset...]))
    }
    let left = bytes.count - pendingOffset
    if left == 0 || phase.isFinal {
      pending = []
      pendingOffset = 0
    }
    if isReceivingPaused, left < HTTPLimits.pipelineBytesMax || phase.isFinal {
      isReceivingPaused = false
      socket.resumeReceiving()
    }
    if hasPeerEnded, phase == .reading { closeAfterSending() }
  }

  private func ended(_ end: SocketEnd) {
    hasPeerEnded = true
    switch (end, phase) {
    case (.failed, _): closeNow(.closed)
    // A client that only ended its sending side may still wait for a whole answer, but a stream
    // would go on for nobody: it gets what is queued.
    case (.peerClosed, .answering) where isStreaming:
      let responder = responder
      self.responder = nil
      closeAfterSending()
      responder?.clientGone(.closed)
    case (.peerClosed, .answering), (.peerClosed, .sending): break
    // Its turn is about to come (`resumeLater`), and it closes then.
    case (.peerClosed, .reading) where pendingOffset < pending.count: break
    case (.peerClosed, .reading), (.peerClosed, .lingering): closeAfterSending()
    case (.peerClosed, .closing): break
    }
  }
}

// MARK: - Answering

extension ServerConnection {
  func send(_ response: HTTPResponse, to head: RequestHead) {
    guard phase == .answering else { return }
    let hasNoBody = HTTPStatus.hasNoBody(response.status)
    var out: [UInt8] = []
    let isJoined = response.body.count <= Self.joinedBytesMax
    out.reserveCapacity(512 + (isJoined ? response.body.count : 0))
    append(
      status: response.status, fields: response.fields,
      framing: hasNoBody ? .none : .length(response.body.count), head, &out)
    let body = hasNoBody || head.method == .head ? [] : response.body
    if isJoined { out.append(contentsOf: body) }
    send(out)
    if !isJoined { send(body) }
  }

  func begin(status: Int, fields: [HTTPField], to head: RequestHead) {
    guard phase == .answering else { return }
    isStreaming = true
    isBodyChunked = head.minorVersion > 0
    if !isBodyChunked { closesAfterAnswer = true }
    var out: [UInt8] = []
    append(
      status: status, fields: fields, framing: isBodyChunked ? .chunked : .untilClose, head, &out)
    send(out)
  }

  /// False when the connection had to be closed because the client is too slow.
  func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard phase == .answering else { return false }
    guard socket.queuedBytes + bytes.count <= HTTPLimits.responseQueueBytesMax else {
      server.statistics.slowClients.add()
      closeNow(.slow)
      return false
    }
    guard isBodyChunked else {
      enqueuedBytes += bytes.count
      socket.send(bytes)
      return true
    }
    scratch.removeAll(keepingCapacity: true)
    ResponseWriter.append(chunk: bytes, to: &scratch)
    enqueuedBytes += scratch.count
    scratch.withUnsafeBytes { socket.send($0) }
    return true
  }

  func endBody(_ head: RequestHead) {
    guard phase == .answering, isBodyChunked, head.method != .head else { return }
    send(Array("0\r\n\r\n".utf8))
  }

  /// The answer is complete: closes, or turns to the next request.
  func finishAnswer() {
    guard phase == .answering else { return }
    responder = nil
    isStreaming = false
    deadlines.answerEnded(now)
    if closesAfterAnswer || server.isDraining { return closeAfterSending() }
    phase = socket.queuedBytes > HTTPLimits.responseQueueBytesLow ? .sending : .reading
    if phase == .reading { resumeLater() }
  }

  /// A handler dropped its request.
  func refuseUnanswered(_ head: RequestHead) {
    guard phase == .answering else { return }
    self.head = head
    refuse(.unanswered)
  }

  /// Not from inside a handler: the next request would be handled before it returns.
  private func resumeLater() {
    guard !isConsuming, !pending.isEmpty || hasPeerEnded else { return }
    server.loop.enqueue { [self] in resume() }
  }

  private func drained() {
    switch phase {
    case .sending:
      phase = .reading
      resumeLater()
    case .answering: responder?.onDrained?()
    case .closing where server.isDraining: socket.close()
    case .reading, .lingering, .closing: break
    }
  }

  private func append(
    status: Int, fields: [HTTPField], framing: ResponseWriter.Framing, _ head: RequestHead,
    _ out: inout [UInt8]
  ) {
    server.statistics.count(status: status)
    if server.isDraining { closesAfterAnswer = true }
    let connection: StaticString? =
      closesAfterAnswer ? "close" : head.minorVersion == 0 ? "keep-alive" : nil
    ResponseWriter.append(
      ResponseWriter.Head(
        status: status, fields: fields, framing: framing, connection: connection),
      date: server.currentDate(), to: &out)
  }

  private func send(_ bytes: [UInt8]) {
    enqueuedBytes += bytes.count
    socket.send(bytes)
  }
}

// MARK: - Refusing and closing

extension ServerConnection {
  /// Answers a request that cannot be handled, and drops what the client still sends of it, so
  /// that it gets to read the answer: closing with unread bytes would reset the connection.
  private func refuse(_ failure: RequestFailure) {
    let response = server.formatFailure(failure, head)
    server.statistics.count(status: response.status)
    var out: [UInt8] = []
    ResponseWriter.append(
      ResponseWriter.Head(
        status: response.status, fields: response.fields,
        framing: .length(response.body.count), connection: "close"),
      date: server.currentDate(), to: &out)
    if head?.method != .head { out.append(contentsOf: response.body) }
    send(out)
    socket.shutdownWrite()
    head = nil
    dropBody()
    responder = nil
    let isBody = if case .bodyTooLarge = failure { true } else { false }
    phase = .lingering(
      bytesLeft: HTTPLimits.lingerBytesMax + (isBody ? server.limits.bodyBytesMax : 0))
    deadlines.lingerAdvanced(now)
    // A handler may have let go of its request while receiving was paused.
    isReceivingPaused = false
    socket.resumeReceiving()
    if hasPeerEnded { closeAfterSending() }
  }

  /// Closes at once; queued output is lost.
  func closeNow(_ reason: ClientGone) {
    phase = .closing
    let responder = responder
    self.responder = nil
    socket.close()
    responder?.clientGone(reason)
  }

  func abort() { closeNow(.closed) }

  /// For the server's drain: idle connections go now, others after their answer.
  func drain() {
    switch phase {
    case .reading where parser.isBetweenRequests && pending.isEmpty: closeAfterSending()
    case .lingering, .closing: if socket.queuedBytes == 0 { socket.close() }
    case .reading, .answering, .sending: break
    }
  }

  private func closeAfterSending() {
    phase = .closing
    guard server.isDraining else { return socket.closeAfterSending() }
    // The process is about to end: the peer's own end is not waited for.
    if socket.queuedBytes == 0 { socket.close() }
  }

  func checkDeadlines(_ now: Nanoseconds) {
    let queued = socket.queuedBytes
    deadlines.sent(total: enqueuedBytes - queued, queued: queued, now)
    switch deadlines.expired(now) {
    case nil: break
    case .send?: closeNow(.slow)
    case .linger?: closeNow(.closed)
    case .idle?: if phase == .reading { closeAfterSending() }
    case .head?: if phase == .reading { refuse(.timeout("its head did not come in time")) }
    case .body?: if phase == .reading { refuse(.timeout("its body did not come in time")) }
    }
  }
}
