package import Base
package import UringIO

/// `HTTPTransport` over the loop's own sockets, without TLS: for servers on this machine or in a
/// trusted network, and for unix sockets. Costs a fraction of libcurl per piece of a stream.
package final class PlainTransport: HTTPTransport {
  /// What connections are shared by.
  enum Origin: Hashable {
    case host(String, UInt16)
    case unix(String)
  }

  let loop: EventLoop
  private let resolver: NameResolver
  private var idle: [Origin: [ClientConnection]] = [:]
  private var exchanges: [ObjectIdentifier: PlainExchange] = [:]

  /// Idle connections kept for one origin: as many as a busy node streams at once.
  private static let idleMax = 64

  package init(loop: EventLoop) {
    self.loop = loop
    resolver = NameResolver(loop: loop)
  }

  deinit { close() }

  package func start(
    _ request: HTTPClientRequest, _ events: HTTPResponseEvents
  ) -> any Cancellable {
    let exchange = PlainExchange(self, request, events)
    exchanges[ObjectIdentifier(exchange)] = exchange
    loop.enqueue { [weak self] in self?.begin(exchange) }
    return exchange
  }

  /// Gives up all exchanges without a word, and closes all connections.
  package func close() {
    for exchange in exchanges.values { exchange.abandon() }
    exchanges = [:]
    for connection in idle.values.joined() { connection.close() }
    idle = [:]
  }

  func ended(_ exchange: PlainExchange) { exchanges[ObjectIdentifier(exchange)] = nil }
}

// MARK: - Connections

extension PlainTransport {
  /// False when enough idle connections are there.
  func keep(_ connection: ClientConnection) -> Bool {
    guard idle[connection.origin, default: []].count < Self.idleMax else { return false }
    idle[connection.origin, default: []].append(connection)
    return true
  }

  func forget(_ connection: ClientConnection) {
    idle[connection.origin]?.removeAll { $0 === connection }
    if idle[connection.origin]?.isEmpty == true { idle[connection.origin] = nil }
  }

  /// Once more, on a new connection.
  func retry(_ exchange: PlainExchange) {
    guard let url = HTTPURL(exchange.request.url) else {
      preconditionFailure("the URL was read before")
    }
    exchange.connection = nil
    connect(exchange, url)
  }

  private func begin(_ exchange: PlainExchange) {
    guard !exchange.isOver else { return }
    guard let url = HTTPURL(exchange.request.url) else {
      return exchange.end(.failure(.requestInvalid("the URL is not one of http")))
    }
    guard !url.isSecure else {
      return exchange.end(.failure(.requestInvalid("https is not for this transport")))
    }
    exchange.prepare(url)
    exchange.startTimer()
    let origin = origin(exchange, url)
    if let connection = idle[origin]?.popLast() {
      connection.carry(exchange, isReused: true)
    } else {
      connect(exchange, url)
    }
  }

  private func origin(_ exchange: PlainExchange, _ url: HTTPURL) -> Origin {
    exchange.request.unixSocketPath.map { .unix($0) } ?? .host(url.host, url.port)
  }

  private func connect(_ exchange: PlainExchange, _ url: HTTPURL) {
    let origin = origin(exchange, url)
    if let path = exchange.request.unixSocketPath {
      return connect(exchange, origin, to: [.unix(path: path)])
    }
    if let address = url.address { return connect(exchange, origin, to: [address]) }
    resolver.resolve(url.host, port: url.port) { [weak self] result in
      guard let self, !exchange.isOver else { return }
      switch result {
      case .success(let addresses): connect(exchange, origin, to: addresses[...])
      case .failure(let failure): exchange.end(.failure(failure))
      }
    }
  }

  /// Tries one address after the other; the exchange's own timer ends it when all take too long.
  private func connect(
    _ exchange: PlainExchange, _ origin: Origin, to addresses: ArraySlice<SocketAddress>
  ) {
    guard let address = addresses.first else {
      preconditionFailure("there is an address to connect to")
    }
    exchange.attempt = loop.connect(to: address, timeout: exchange.request.timeouts.connect) {
      [weak self] result in
      exchange.attempt = nil
      switch result {
      case .success(let socket):
        guard let self, !exchange.isOver else { return socket.close() }
        ClientConnection(transport: self, origin: origin, socket: socket)
          .carry(exchange, isReused: false)
      case .failure(let failure) where failure.isTimeout:
        exchange.end(.failure(.timeout(.connect)))
      case .failure(let failure):
        guard let self, addresses.count > 1, !exchange.isOver else {
          return exchange.end(.failure(.unreachable("\(failure)")))
        }
        connect(exchange, origin, to: addresses.dropFirst())
      }
    }
  }
}

/// One exchange of `PlainTransport`, and the handle that cancels it.
final class PlainExchange: Cancellable {
  let request: HTTPClientRequest
  let events: HTTPResponseEvents
  let timer: ExchangeTimer
  /// The request's head as it is sent.
  private(set) var head: [UInt8] = []
  private(set) var isOver = false
  /// The connection being made for it.
  var attempt: (any Cancellable)?
  /// What carries it; the two let go of each other when it is over.
  var connection: ClientConnection?
  private weak var transport: PlainTransport?

  init(_ transport: PlainTransport, _ request: HTTPClientRequest, _ events: HTTPResponseEvents) {
    self.transport = transport
    self.request = request
    self.events = events
    timer = ExchangeTimer(request.timeouts, timers: transport.loop)
  }

  func cancel() {
    guard !isOver else { return }
    abandon()
    transport?.ended(self)
  }

  /// Stops whatever runs for it; its owner hears nothing more.
  func abandon() {
    isOver = true
    timer.stop()
    attempt?.cancel()
    attempt = nil
    connection?.close()
    connection = nil
  }

  /// Ends it with what `onEnd` shall hear; once. Its connection is its own business.
  func end(_ result: Result<Void, TransportFailure>) {
    guard !isOver else { return }
    isOver = true
    timer.stop()
    connection = nil
    transport?.ended(self)
    events.onEnd(result)
  }

  func startTimer() {
    timer.onTimeout = { [weak self] phase in
      guard let self, !isOver else { return }
      abandon()
      transport?.ended(self)
      events.onEnd(.failure(.timeout(phase)))
    }
    timer.start()
  }

  func prepare(_ url: HTTPURL) {
    head.reserveCapacity(512)
    head.append(contentsOf: request.method.name.utf8)
    head.append(Byte.space)
    head.append(contentsOf: url.target.utf8)
    ResponseWriter.append(" HTTP/1.1\r\n", &head)
    ResponseWriter.append(HTTPField("Host", url.authority), to: &head)
    for field in request.fields { ResponseWriter.append(field, to: &head) }
    if !request.body.isEmpty || !request.method.isBodyless {
      ResponseWriter.append(HTTPField("Content-Length", "\(request.body.count)"), to: &head)
    }
    ResponseWriter.append("\r\n", &head)
  }
}
