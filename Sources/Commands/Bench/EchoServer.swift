import UringIO

/// Sends back what it is sent, on the sockets that HTTP uses: what they cost, and nothing else.
final class EchoServer {
  let address: SocketAddress
  private var listener: Listener?
  /// The loops that take connections in turn, besides the one that accepts them.
  private let others: [EventLoopHandle]
  /// Secures the connections of this loop, where it is there.
  private let tls: TLSContext?
  private var accepted = 0

  /// Listens on `address`; every connection goes to the next of this loop and `others`.
  init(
    loop: EventLoop, address: SocketAddress, others: [EventLoopHandle] = [],
    tls: TLSContext? = nil
  ) throws(IOFailure) {
    self.others = others
    self.tls = tls
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
    guard turn == 0 else {
      let descriptor = socket.detach()
      others[turn - 1].post { EchoConnection(Socket(loop: $0, descriptor: descriptor)).start() }
      return
    }
    guard let tls else { return EchoConnection(socket).start() }
    do throws(TLSFailure) {
      EchoConnection(try TLSSocket(socket, context: tls)).start()
    } catch {
      socket.close()
    }
  }
}

/// One connection. Its stream's callbacks own it until the stream closes.
private final class EchoConnection<Stream: ByteStream> {
  private let stream: Stream
  private var isPaused = false

  /// Bytes queued for a peer before no more are read from it: two receive buffers. More would
  /// only fall out of the cache before it is sent.
  private let queuedBytesMax = 65_536

  init(_ stream: Stream) { self.stream = stream }

  func start() {
    stream.lowWaterBytes = queuedBytesMax / 2
    stream.onReceive = { [self] in received($0) }
    stream.onDrained = { [self] in drained() }
    stream.onEnd = { [self] end in
      if end == .peerClosed { stream.closeAfterSending() } else { stream.close() }
    }
    stream.startReceiving()
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    stream.send(bytes)
    guard stream.queuedBytes >= queuedBytesMax, !isPaused else { return }
    isPaused = true
    stream.pauseReceiving()
  }

  private func drained() {
    guard isPaused else { return }
    isPaused = false
    stream.resumeReceiving()
  }
}
