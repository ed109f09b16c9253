import UringIO

/// Sends back what it is sent, on the sockets that HTTP uses: what they cost, and nothing else.
final class EchoServer {
  let address: SocketAddress
  private var listener: Listener?
  private let loop: EventLoop
  /// The loops that take connections in turn, besides the one that accepts them.
  private let others: [EventLoopHandle]
  private var accepted = 0

  /// Listens on `address`; every connection goes to the next of this loop and `others`.
  init(
    loop: EventLoop, address: SocketAddress, others: [EventLoopHandle] = []
  ) throws(IOFailure) {
    self.loop = loop
    self.others = others
    var accept: ((Socket) -> Void)?
    let listener = try loop.listen(on: address) { accept?($0) }
    self.address = listener.address
    self.listener = listener
    accept = { [weak self] in self?.accept($0) }
  }

  /// Takes no more connections; those it has live on.
  func close() { listener?.close() }

  private func accept(_ socket: Socket) {
    let turn = accepted % (others.count + 1)
    accepted += 1
    guard turn > 0 else { return EchoConnection(socket).start() }
    let descriptor = socket.detach()
    others[turn - 1].post { EchoConnection(Socket(loop: $0, descriptor: descriptor)).start() }
  }
}

/// One connection. Its socket's callbacks own it until the socket closes.
private final class EchoConnection {
  private let socket: Socket
  private var isPaused = false

  /// Bytes queued for a peer before no more are read from it: two receive buffers. More would
  /// only fall out of the cache before it is sent.
  private static let queuedBytesMax = 65_536

  init(_ socket: Socket) { self.socket = socket }

  func start() {
    socket.lowWaterBytes = Self.queuedBytesMax / 2
    socket.onReceive = { [self] in received($0) }
    socket.onDrained = { [self] in drained() }
    socket.onEnd = { [self] end in
      if end == .peerClosed { socket.closeAfterSending() } else { socket.close() }
    }
    socket.startReceiving()
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    socket.send(bytes)
    guard socket.queuedBytes >= Self.queuedBytesMax, !isPaused else { return }
    isPaused = true
    socket.pauseReceiving()
  }

  private func drained() {
    guard isPaused else { return }
    isPaused = false
    socket.resumeReceiving()
  }
}
