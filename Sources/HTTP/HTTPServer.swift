import Base
package import UringIO

/// An HTTP/1.1 server on one event loop. Make it, `listen`, and in the end `drain` or `close`. The
/// handler is called on the loop, for one request of a connection at a time, in their order.
package final class HTTPServer {
  package typealias Handler = (HTTPRequest, HTTPResponder) -> Void
  /// Turns the refusal of a request, whose head is nil when it could not be read, into an answer.
  package typealias FailureFormatter = (RequestFailure, RequestHead?) -> HTTPResponse

  package let limits: HTTPLimits
  package let statistics = HTTPServerStatistics()
  let loop: EventLoop
  private(set) var handler: Handler
  private(set) var formatFailure: FailureFormatter
  private(set) var isDraining = false
  private var listeners: [Listener] = []
  private var connections: [ObjectIdentifier: ServerConnection] = [:]
  private var refusedConnections = 0
  /// Bytes of bodies that are being received, over all connections.
  var bodyBytesHeld = 0
  private var sweepTimer: (any Cancellable)?
  private var onDrained: (() -> Void)?
  private var date = HTTPDate()

  /// Connections over the limit that are being told so; even more are closed without a word.
  private static let refusedConnectionsMax = 64
  /// Deadlines are looked at this often; 1,024 connections cost some microseconds.
  private static let sweepIntervalMax = Nanoseconds.seconds(1)

  package init(
    loop: EventLoop, limits: HTTPLimits = HTTPLimits(),
    formatFailure: @escaping FailureFormatter = { failure, _ in HTTPResponse(describing: failure) },
    handler: @escaping Handler
  ) {
    self.loop = loop
    self.limits = limits
    self.formatFailure = formatFailure
    self.handler = handler
  }

  /// Accepts connections on `address` too. Returns where it really listens (the port, when 0 was
  /// asked for).
  @discardableResult
  package func listen(on address: SocketAddress) throws(IOFailure) -> SocketAddress {
    let isLocal = if case .unix = address { true } else { false }
    let listener = try loop.listen(on: address, backlog: HTTPLimits.backlog) {
      [weak self] socket in
      guard let self else { return socket.close() }
      accept(socket, isLocal)
    }
    listeners.append(listener)
    return listener.address
  }

  /// Stops accepting, closes what is idle, lets answers in progress finish; calls `completion`
  /// when the last connection is gone. Answers of unlimited length need `close` in the end.
  package func drain(_ completion: @escaping () -> Void) {
    isDraining = true
    onDrained = completion
    stopListening()
    for connection in connections.values { connection.drain() }
    if connections.isEmpty { loop.enqueue { [self] in drained() } }
  }

  /// Closes everything at once. Handlers are told by `onClientGone`.
  package func close() {
    isDraining = true
    stopListening()
    for connection in connections.values { connection.closeNow(.serverClosed) }
    sweepTimer?.cancel()
    sweepTimer = nil
  }

  package var connectionCount: Int { connections.count }

  private func stopListening() {
    for listener in listeners { listener.close() }
    listeners = []
  }

  private func drained() {
    let completion = onDrained
    onDrained = nil
    completion?()
  }
}

// MARK: - Connections

extension HTTPServer {
  private func accept(_ socket: Socket, _ isLocal: Bool) {
    statistics.connections.add()
    guard connections.count < limits.connectionsMax else { return refuse(socket) }
    let connection = ServerConnection(server: self, socket: socket, isLocalSocket: isLocal)
    connections[ObjectIdentifier(connection)] = connection
    statistics.connectionsOpen.add(1)
    connection.start()
    scheduleSweep()
  }

  private func refuse(_ socket: Socket) {
    statistics.count(status: 503)
    guard refusedConnections < Self.refusedConnectionsMax else { return socket.close() }
    refusedConnections += 1
    socket.onClosed = { [self] in refusedConnections -= 1 }
    let failure = RequestFailure.overloaded("it has \(limits.connectionsMax) connections")
    let response = formatFailure(failure, nil)
    var out: [UInt8] = []
    ResponseWriter.append(
      ResponseWriter.Head(
        status: response.status, fields: response.fields,
        framing: .length(response.body.count), connection: "close"),
      date: currentDate(), to: &out)
    socket.send(out + response.body)
    socket.closeAfterSending()
  }

  func closed(_ connection: ServerConnection) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    statistics.connectionsOpen.add(-1)
    if connections.isEmpty, onDrained != nil { drained() }
  }

  func currentDate() -> [UInt8] { date.bytes(at: loop.clock.wall()) }

  private func scheduleSweep() {
    guard sweepTimer == nil else { return }
    sweepTimer = loop.schedule(after: sweepInterval) { [weak self] in self?.sweep() }
  }

  /// A quarter of the shortest deadline, so that none is late by more than that.
  private var sweepInterval: Nanoseconds {
    let shortest = [
      limits.headTimeout, limits.bodyIdleTimeout, limits.bodyTimeout, limits.idleTimeout,
      limits.sendTimeout, limits.lingerTimeout,
    ].reduce(Nanoseconds(Self.sweepIntervalMax.count * 4)) { min($0, $1) }
    return Nanoseconds(max(shortest.count / 4, 1_000_000))
  }

  private func sweep() {
    sweepTimer = nil
    let now = loop.clock.monotonic()
    for connection in connections.values { connection.checkDeadlines(now) }
    if !connections.isEmpty { scheduleSweep() }
  }
}
