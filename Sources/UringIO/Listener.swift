import Base
import Glibc

/// A listening socket. Connections go to `accept` until `close()`.
package final class Listener {
  /// Where it listens, with the real port when 0 was asked for.
  package let address: SocketAddress
  package let descriptor: Int32
  private let loop: EventLoop
  private var accept: ((Socket) -> Void)?
  private var accepting: OperationID?
  private var pause: (any Cancellable)?
  /// Kernels before 5.19 accept one connection per operation.
  private var isSingleShot = false
  private var isDescriptorClosed = false
  /// Accepted by the kernel, waiting for their turn.
  private var waiting: [Int32] = []
  private var acceptedInTurn = 0
  private var turn: UInt64 = 0

  /// Connections handed over in one turn of the loop: a storm of them leaves everybody else theirs.
  private static let acceptsPerTurn = 16
  /// How long accepting rests when descriptors or memory ran out: long enough not to spin, short
  /// enough that a client waits in the backlog without noticing much.
  private static let pauseTime = Nanoseconds.milliseconds(50)

  fileprivate init(
    loop: EventLoop, descriptor: Int32, address: SocketAddress,
    accept: @escaping (Socket) -> Void
  ) {
    self.loop = loop
    self.descriptor = descriptor
    self.address = address
    self.accept = accept
    arm()
  }

  deinit { if !isDescriptorClosed { Glibc.close(descriptor) } }

  /// Stops listening; connections already accepted live on. A unix socket's file is removed.
  package func close() {
    guard accept != nil else { return }
    accept = nil
    dropWaiting()
    pause?.cancel()
    pause = nil
    if let accepting { loop.cancel(accepting) } else { closeDescriptor() }
  }

  private func arm() {
    accepting = loop.submit(self, .accept(descriptor: descriptor, single: isSingleShot))
  }

  private func accepted(_ result: Int32) {
    switch result {
    case 0...:
      waiting.append(result)
      if waiting.count == 1 { handOver() }
    case -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM:
      loop.statistics.acceptPauses.add()
      pause = loop.schedule(after: Self.pauseTime) { [self] in
        pause = nil
        arm()
      }
    case -EINVAL where !isSingleShot: isSingleShot = true
    // What is left concerns one connection that went away before it was accepted (accept(2)).
    default: break
    }
  }

  /// Hands over what this turn allows, and the rest in the next ones.
  private func handOver() {
    if turn != loop.turns {
      turn = loop.turns
      acceptedInTurn = 0
    }
    // Out of the list first: the callback may close the listener.
    while acceptedInTurn < Self.acceptsPerTurn, !waiting.isEmpty {
      acceptedInTurn += 1
      let descriptor = waiting.removeFirst()
      guard let accept else { return _ = Glibc.close(descriptor) }
      accept(Socket(loop: loop, descriptor: descriptor))
    }
    if !waiting.isEmpty { loop.schedule(after: .zero) { [self] in handOver() } }
  }

  private func dropWaiting() {
    for descriptor in waiting { Glibc.close(descriptor) }
    waiting = []
  }

  private func closeDescriptor() {
    guard !isDescriptorClosed else { return }
    isDescriptorClosed = true
    if case .unix(let path) = address { unlink(path) }
    Glibc.close(descriptor)
  }
}

extension Listener: RingClient {
  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    let isLast = !flags.contains(.more)
    if isLast { accepting = nil }
    accepted(result)
    guard isLast else { return }
    if accept == nil { closeDescriptor() } else if pause == nil, accepting == nil { arm() }
  }

  func abandoned() {
    accept = nil
    dropWaiting()
    closeDescriptor()
  }
}

extension EventLoop {
  /// Listens on `address`. A unix socket is made for its owner only (mode 0600), and a socket file
  /// that nobody listens on any more is replaced. `backlog` is cut to net.core.somaxconn.
  package func listen(
    on address: SocketAddress, backlog: Int32 = 1_024, accept: @escaping (Socket) -> Void
  ) throws(IOFailure) -> Listener {
    let raw = try RawAddress(address)
    let descriptor = try streamSocket(raw.family, for: "listen", address)
    do throws(IOFailure) {
      try bindListener(descriptor, to: raw, address)
      guard Glibc.listen(descriptor, backlog) == 0 else {
        throw .last("listen", address.description)
      }
    } catch {
      Glibc.close(descriptor)
      throw error
    }
    var real = address
    if address.port == 0, let bound = RawAddress.of(descriptor, peer: false),
      raw.family != AF_UNIX
    {
      real = bound
    }
    return Listener(loop: self, descriptor: descriptor, address: real, accept: accept)
  }

  private func bindListener(
    _ descriptor: Int32, to raw: RawAddress, _ address: SocketAddress
  ) throws(IOFailure) {
    if raw.family == AF_UNIX {
      // The file takes the socket's mode when it is made: at no time can others connect.
      fchmod(descriptor, 0o600)
    } else {
      // A restarted node must not wait for old connections in TIME_WAIT.
      setOption(descriptor, SOL_SOCKET, SO_REUSEADDR)
    }
    if bind(descriptor, raw.pointer, raw.length) == 0 { return }
    if errno == EADDRINUSE, case .unix(let path) = address, isStale(raw) {
      unlink(path)
      if bind(descriptor, raw.pointer, raw.length) == 0 { return }
    }
    throw .last("listen", address.description)
  }

  /// Whether the socket file is left over from a process that ended without removing it.
  private func isStale(_ raw: RawAddress) -> Bool {
    let probe = socket(
      AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard probe >= 0 else { return false }
    let refused = Glibc.connect(probe, raw.pointer, raw.length) != 0 && errno == ECONNREFUSED
    Glibc.close(probe)
    if !refused { errno = EADDRINUSE }
    return refused
  }

  /// A stream socket in blocking mode. Accepted sockets inherit TCP_NODELAY from the listener.
  func streamSocket(
    _ family: Int32, for operation: String, _ address: SocketAddress
  ) throws(IOFailure) -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .last(operation, address.description) }
    if family != AF_UNIX { setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY) }
    return descriptor
  }

  private func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32) {
    var on: Int32 = 1
    setsockopt(descriptor, level, name, &on, socklen_t(MemoryLayout<Int32>.size))
  }
}
