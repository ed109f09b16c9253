import UringIO

/// Why nobody waits for an answer any more.
package enum ClientGone: Equatable, Sendable {
  /// The client closed the connection, or it broke.
  case closed
  /// The client took too little of the answer: more than `HTTPLimits.responseQueueBytesMax` was
  /// queued, or nothing was taken for `HTTPLimits.sendTimeout`.
  case slow
  /// The server is being closed.
  case serverClosed
}

/// The answer to one request: `respond` once, or `begin`, any number of `write`, `end`. The handler
/// keeps it until then; letting go of it before is answered 500. On the loop's thread only. Calls
/// after the client is gone do nothing.
package final class HTTPResponder {
  private enum State {
    case waiting
    case streaming
    case done
  }

  /// Called once when the client is gone before the answer is complete.
  package var onClientGone: ((ClientGone) -> Void)?
  /// All that was written has been taken by the kernel; for writers that produce at the client's
  /// pace.
  package var onDrained: (() -> Void)?
  private let connection: ServerConnection
  private let head: RequestHead
  private var state = State.waiting
  /// An event on its way to the connection; kept for the next.
  private var scratch: [UInt8] = []

  init(connection: ServerConnection, head: RequestHead) {
    self.connection = connection
    self.head = head
  }

  deinit {
    switch state {
    case .waiting: connection.refuseUnanswered(head)
    case .streaming: connection.abort()
    case .done: break
    }
  }

  /// The answer is not complete, and the client still there.
  package var isOpen: Bool { state != .done }
  /// Bytes of this and earlier answers that the kernel has not taken.
  package var queuedBytes: Int { connection.socket.queuedBytes }

  /// Answers with a whole response. For HEAD its body only gives the length.
  package func respond(_ response: HTTPResponse) {
    guard state == .waiting else { return }
    state = .done
    connection.send(response, to: head)
    finish()
  }

  /// Starts an answer whose body comes piece by piece.
  package func begin(status: Int, fields: [HTTPField]) {
    guard state == .waiting else { return }
    state = .streaming
    connection.begin(status: status, fields: fields, to: head)
  }

  /// Sends a piece of the body. False when the client is gone, also for being too slow to take it.
  @discardableResult
  package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard state == .streaming else { return false }
    guard !bytes.isEmpty, head.method != .head else { return true }
    return connection.write(bytes)
  }

  /// Ends a streamed body.
  package func end() {
    guard state == .streaming else { return }
    state = .done
    connection.endBody(head)
    finish()
  }

  /// Cuts the answer: the connection is closed so that the client can tell it from a complete one.
  package func abort() {
    guard state != .done else { return }
    state = .done
    forget()
    connection.abort()
  }

  /// The connection is gone; the handler hears of it once.
  func clientGone(_ reason: ClientGone) {
    guard state != .done else { return }
    state = .done
    let body = onClientGone
    forget()
    body?(reason)
  }

  private func finish() {
    forget()
    connection.finishAnswer()
  }

  /// The callbacks often own this object.
  private func forget() {
    onClientGone = nil
    onDrained = nil
  }
}

// MARK: - Server-sent events

extension HTTPResponder {
  /// Starts a stream of events.
  package func beginEvents(fields: [HTTPField] = []) {
    begin(
      status: 200,
      fields: [
        HTTPField("Content-Type", "text/event-stream"), HTTPField("Cache-Control", "no-cache"),
        // Proxies of nginx's kind would collect the stream.
        HTTPField("X-Accel-Buffering", "no"),
      ] + fields)
  }

  /// Sends one event. False as with `write`.
  @discardableResult
  package func writeEvent(_ name: String?, id: String?, data: UnsafeRawBufferPointer) -> Bool {
    scratch.removeAll(keepingCapacity: true)
    SSEEncoder.append(event: name, id: id, data: data, to: &scratch)
    return scratch.withUnsafeBytes { write($0) }
  }

  /// Sends one event. False as with `write`.
  @discardableResult
  package func writeEvent(_ name: String?, id: String?, data: [UInt8]) -> Bool {
    data.withUnsafeBytes { writeEvent(name, id: id, data: $0) }
  }

  /// Sends a comment, so that proxies see life.
  @discardableResult
  package func writeComment(_ text: String) -> Bool {
    scratch.removeAll(keepingCapacity: true)
    SSEEncoder.append(comment: text, to: &scratch)
    return scratch.withUnsafeBytes { write($0) }
  }
}
