import Base
import UringIO

/// A connection of `PlainTransport`: carries one exchange at a time, idle in between.
final class ClientConnection {
  let origin: PlainTransport.Origin
  private let socket: Socket
  private weak var transport: PlainTransport?
  private var exchange: PlainExchange?
  private var parser = ResponseParser(method: .get)
  private var isReused = false
  private var hasReceived = false
  private var idleTimer: (any Cancellable)?

  /// How long an idle connection is kept: shorter than servers keep theirs (60 s and more), so that
  /// a request seldom meets one that is just being closed.
  private static let idleMax = Nanoseconds.seconds(45)

  init(transport: PlainTransport, origin: PlainTransport.Origin, socket: Socket) {
    self.transport = transport
    self.origin = origin
    self.socket = socket
    socket.onReceive = { [self] in received($0) }
    socket.onEnd = { [self] in ended($0) }
    socket.startReceiving()
  }

  /// Sends the exchange's request.
  func carry(_ exchange: PlainExchange, isReused: Bool) {
    idleTimer?.cancel()
    idleTimer = nil
    self.exchange = exchange
    self.isReused = isReused
    hasReceived = false
    parser = ResponseParser(method: exchange.request.method)
    exchange.connection = self
    socket.send(exchange.head)
    socket.send(exchange.request.body)
    exchange.timer.connected()
  }

  /// Nobody wants it any more.
  func close() {
    idleTimer?.cancel()
    exchange = nil
    socket.close()
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    // An answer nobody asked for: the connection cannot be trusted.
    guard let exchange else { return drop() }
    hasReceived = true
    exchange.timer.advanced()
    var offset = 0
    do throws(TransportFailure) {
      while self.exchange === exchange, let event = try parser.next(bytes, at: &offset) {
        switch event {
        case .head(let status, let fields): exchange.events.onHead(status, fields)
        case .body(let range):
          exchange.events.onBody(UnsafeRawBufferPointer(rebasing: bytes[range]))
        case .end: complete(exchange, isReusable: parser.keepsAlive && offset == bytes.count)
        }
      }
    } catch {
      fail(exchange, error)
    }
  }

  private func ended(_ end: SocketEnd) {
    guard let exchange else { return drop() }
    switch end {
    case .peerClosed where parser.endsWithConnection: complete(exchange, isReusable: false)
    // A kept connection that the server closed meanwhile: it has not seen the request.
    case _ where isReused && !hasReceived:
      close()
      transport?.retry(exchange)
    case .peerClosed: fail(exchange, .cut("the connection ended before the answer did"))
    case .failed(let failure): fail(exchange, .cut("\(failure)"))
    }
  }

  private func complete(_ exchange: PlainExchange, isReusable: Bool) {
    self.exchange = nil
    if isReusable, let transport, transport.keep(self) {
      idleTimer = transport.loop.schedule(after: Self.idleMax) { [weak self] in self?.drop() }
    } else {
      close()
    }
    exchange.end(.success(()))
  }

  private func fail(_ exchange: PlainExchange, _ failure: TransportFailure) {
    close()
    exchange.end(.failure(failure))
  }

  /// Ends an idle connection.
  private func drop() {
    transport?.forget(self)
    close()
  }
}
