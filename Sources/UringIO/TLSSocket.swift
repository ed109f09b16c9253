import Base
import COpenSSL
import Glibc

/// A connection secured by TLS over a `Socket`, with the same interface and the same rules. What it
/// was given to send before the handshake is done waits for it. The peer's end of the stream counts
/// only with its close_notify; without it the socket fails (`TLSFailure.truncated`).
package final class TLSSocket: ByteStream {
  package var onReceive: ((UnsafeRawBufferPointer) -> Void)?
  package var onEnd: ((SocketEnd) -> Void)?
  package var onDrained: (() -> Void)?
  package var onClosed: (() -> Void)? {
    get { socket.onClosed }
    set { socket.onClosed = newValue }
  }
  /// The handshake is done: peer, version and protocol are known. Called once.
  package var onSecured: (() -> Void)?
  /// Why the connection failed, where TLS was the reason.
  package private(set) var failure: TLSFailure?
  package let socket: Socket
  private let context: TLSContext
  private let host: String?
  private let session: OpaquePointer
  private var phase = Phase.shaking
  private var wantsBytes = false
  private var isPumping = false
  private var hasEnded = false
  /// The peer's last byte has come, with or without a close_notify before it.
  private var hasSocketEnded = false
  private var endsWhenSecured = false
  /// What was given to send before the handshake was done.
  private var early: [UInt8] = []
  private var deadline: (any Cancellable)?

  private enum Phase {
    case shaking, secured
    case failed
    case closed
  }

  /// Enciphered at a time: four records of full size.
  private static let encipheredBytesMax = 65_536
  /// How long a handshake may take.
  private static let handshakeMax = Nanoseconds.seconds(10)

  /// Secures an unused socket, as server or as client, as `context` says; a client names the `host`
  /// it wants. The handshake begins with `startReceiving()`.
  package init(
    _ socket: Socket, context: TLSContext, host: String? = nil
  ) throws(TLSFailure) {
    precondition(context.isServer == (host == nil), "a client names its host, a server has none")
    guard let session = kfm_tls_open(context.pointer, host) else {
      throw TLSFailure(.unavailable, "tls: no session for \(host ?? "a client") can be made")
    }
    self.socket = socket
    self.context = context
    self.host = host
    self.session = session
  }

  deinit { kfm_tls_free(session) }

  package var lowWaterBytes: Int {
    get { socket.lowWaterBytes }
    set { socket.lowWaterBytes = newValue }
  }

  /// Bytes queued: enciphered ones, and those that wait for the handshake.
  package var queuedBytes: Int { socket.queuedBytes + early.count }

  /// The protocol both sides agreed on (ALPN), once secured.
  package var applicationProtocol: String? {
    var count: UInt32 = 0
    guard let name = kfm_tls_protocol(session, &count) else { return nil }
    return String(
      decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
  }

  /// `TLSv1.3`, once secured.
  package var version: String { String(cString: kfm_tls_version(session)) }
}

// MARK: - Receiving

extension TLSSocket {
  package func startReceiving() {
    socket.onReceive = { [self] in received($0) }
    socket.onEnd = { [self] in socketEnded($0) }
    socket.onDrained = { [self] in if phase == .secured, early.isEmpty { onDrained?() } }
    wantsBytes = true
    deadline = socket.loop.schedule(after: Self.handshakeMax) { [weak self] in
      self?.fail(TLSFailure(.timeout, "tls: the handshake did not end within 10 s"))
    }
    socket.startReceiving()
    pump()
  }

  package func pauseReceiving() {
    wantsBytes = false
    // The handshake goes on: it is not what the consumer holds back.
    if phase == .secured { socket.pauseReceiving() }
  }

  package func resumeReceiving() {
    guard !wantsBytes else { return }
    wantsBytes = true
    guard phase == .secured else { return }
    socket.resumeReceiving()
    // Not from inside the caller: it may be in the middle of the bytes before these.
    socket.loop.enqueue { [self] in pump() }
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    guard phase == .shaking || phase == .secured else { return }
    guard kfm_tls_put(session, bytes.baseAddress, bytes.count) == 1 else {
      return fail(TLSFailure(.unavailable, "tls: no memory for what was received"))
    }
    pump()
    // What the consumer did not want yet.
    if kfm_tls_keep(session) != 1 {
      fail(TLSFailure(.unavailable, "tls: no memory for what was received"))
    }
  }

  private func socketEnded(_ end: SocketEnd) {
    switch end {
    case .failed:
      guard phase != .failed, phase != .closed else { return }
      phase = .failed
      deadline?.cancel()
      onEnd?(end)
    case .peerClosed:
      hasSocketEnded = true
      pump()
    }
  }

  /// Goes on with the handshake and deciphers what is there, until more must come or the consumer
  /// wants no more.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    if phase == .shaking { shake() }
    if phase == .secured { decipher() }
  }

  private func shake() {
    let result = kfm_tls_handshake(session)
    flush()
    switch result {
    case 1: secured()
    case Int32(KFM_TLS_WANTS_MORE):
      if hasSocketEnded { truncated() }
    default: fail(.session(session, host: host))
    }
  }

  private func secured() {
    phase = .secured
    deadline?.cancel()
    deadline = nil
    onSecured?()
    guard phase == .secured else { return }
    if !early.isEmpty {
      let bytes = early
      early = []
      bytes.withUnsafeBytes { encipher($0) }
    }
    if endsWhenSecured { endStream() }
    if !wantsBytes { socket.pauseReceiving() }
  }

  private func decipher() {
    let pool = socket.loop.blocks.large
    let block = pool.take()
    defer { pool.release(block) }
    while wantsBytes, phase == .secured, !hasEnded {
      let count = kfm_tls_read(session, block.start, pool.blockBytes)
      // An answer to what the peer wanted to know of the session.
      flush()
      switch count {
      case 1...: onReceive?(UnsafeRawBufferPointer(start: block.start, count: count))
      case Int(KFM_TLS_WANTS_MORE):
        if hasSocketEnded { truncated() }
        return
      case Int(KFM_TLS_ENDED):
        hasEnded = true
        onEnd?(.peerClosed)
      default: fail(.session(session, host: host))
      }
    }
  }

  private func truncated() {
    fail(
      TLSFailure(
        .truncated,
        "tls: the peer's end came without a close_notify: what came may not be all of it"))
  }

  private func fail(_ failure: TLSFailure) {
    guard phase == .shaking || phase == .secured else { return }
    self.failure = failure
    // The alert that says why.
    flush()
    phase = .failed
    deadline?.cancel()
    deadline = nil
    early = []
    let code = failure.cause == .timeout ? ETIMEDOUT : EPROTO
    onEnd?(
      .failed(IOFailure(code: code, operation: failure.description, subject: host ?? "")))
  }
}

// MARK: - Sending

extension TLSSocket {
  package func send(_ bytes: [UInt8]) { bytes.withUnsafeBytes { send($0) } }

  package func send(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty, !endsWhenSecured else { return }
    switch phase {
    case .shaking: early.append(contentsOf: bytes)
    case .secured: encipher(bytes)
    case .failed, .closed: break
    }
  }

  private func encipher(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.encipheredBytesMax))
      rest = rest.dropFirst(part.count)
      guard kfm_tls_write(session, part.baseAddress, part.count) == 1 else {
        return fail(.session(session, host: host))
      }
      flush()
    }
  }

  /// Queues what the session has for the peer. Follows each call with the session at once.
  private func flush() {
    var count = 0
    guard let bytes = kfm_tls_output(session, &count) else { return }
    socket.sendFromScratch(UnsafeRawBufferPointer(start: bytes, count: count))
  }

  /// Ends the stream to the peer with a close_notify after everything queued.
  package func shutdownWrite() {
    guard !endsWhenSecured else { return }
    endsWhenSecured = true
    if phase == .secured { endStream() }
  }

  private func endStream() {
    kfm_tls_end(session)
    flush()
    socket.shutdownWrite()
  }
}

// MARK: - Closing

extension TLSSocket {
  package func close() {
    guard phase != .closed else { return }
    let hasFailed = failure != nil
    drop()
    // After a failure of TLS its alert still has to reach the peer.
    if hasFailed { socket.closeAfterSending() } else { socket.close() }
  }

  package func closeAfterSending() {
    guard phase == .secured else { return close() }
    if !endsWhenSecured {
      kfm_tls_end(session)
      flush()
    }
    drop()
    socket.closeAfterSending()
  }

  private func drop() {
    phase = .closed
    deadline?.cancel()
    deadline = nil
    early = []
    onReceive = nil
    onEnd = nil
    onDrained = nil
    onSecured = nil
  }
}
