import Base
import Glibc

/// How the bytes from a peer ended.
package enum SocketEnd: Equatable, Sendable {
  /// The peer will send nothing more; it may still read (half-close).
  case peerClosed
  case failed(IOFailure)
}

/// A connected stream socket, TCP or unix. Set the callbacks, then `startReceiving()`. Whoever
/// holds it must `close()` it in the end: while it receives, the loop keeps it alive.
package final class Socket {
  package let descriptor: Int32
  /// Bytes as they arrive, valid during the call.
  package var onReceive: ((UnsafeRawBufferPointer) -> Void)?
  /// Called at most once with `.peerClosed` and at most once with `.failed` (which may follow a
  /// half-close, when sending fails), never after that. The socket still has to be closed.
  package var onEnd: ((SocketEnd) -> Void)?
  /// Everything queued has been taken by the kernel. Called each time the queue runs empty.
  package var onDrained: (() -> Void)?
  /// The descriptor is closed. Called once, also after `closeAfterSending()`.
  package var onClosed: (() -> Void)?
  let loop: EventLoop

  private enum Phase {
    case open
    /// Nobody listens any more; what is queued goes out, then the peer gets time to read it.
    case lingering
    /// Waits for the operations in flight.
    case closing
    case closed
  }
  private var phase = Phase.open
  private var hasFailed = false
  private var lingerTimer: (any Cancellable)?

  // Receiving
  private var wantsBytes = false
  private var receiving: OperationID?
  private var isReceiveCancelled = false
  private var hasReceiveEnded = false
  /// What arrived while receiving was paused; handed over before anything newer.
  private var held: [UInt8] = []
  private var isEndHeld = false
  /// Used only where the kernel has no buffer rings.
  private var ownBuffer: UnsafeMutableRawBufferPointer?

  // Sending
  private var queue = SendQueue()
  private var sending: OperationID?
  private var isSendScheduled = false
  private var endsWhenSent = false
  private var hasSentEnd = false

  /// Bytes of a socket's own buffer.
  private static let ownBufferBytes = 16_384
  /// How long a peer may take to read what is left after `closeAfterSending()`.
  private static let lingerMax = Nanoseconds.seconds(30)
  /// How long bytes of the peer are thrown away after the last byte was sent to it: closing with
  /// unread bytes resets the connection, and the reset destroys an answer not yet read.
  private static let discardMax = Nanoseconds.seconds(2)

  /// Takes over a connected descriptor. It must be in blocking mode: the ring does the waiting.
  package init(loop: EventLoop, descriptor: Int32) {
    self.loop = loop
    self.descriptor = descriptor
  }

  deinit {
    if phase != .closed { Glibc.close(descriptor) }
    ownBuffer?.deallocate()
  }

  package var localAddress: SocketAddress? { RawAddress.of(descriptor, peer: false) }
  package var peerAddress: SocketAddress? { RawAddress.of(descriptor, peer: true) }

  private func failure(_ operation: String, _ result: Int32) -> IOFailure {
    IOFailure(code: -result, operation: operation, subject: peerAddress?.description ?? "")
  }
}

// MARK: - Receiving

extension Socket {
  /// Starts the flow of bytes to `onReceive`.
  package func startReceiving() { resumeReceiving() }

  /// Stops the flow. What the kernel had delivered by then is held; the rest stays in the kernel
  /// and slows the peer down.
  package func pauseReceiving() {
    wantsBytes = false
    guard let receiving, !isReceiveCancelled else { return }
    isReceiveCancelled = true
    loop.cancel(receiving)
  }

  package func resumeReceiving() {
    guard phase == .open, !wantsBytes else { return }
    wantsBytes = true
    if held.isEmpty, !isEndHeld { return armReceive() }
    // Not from inside the caller: it may be in the middle of the bytes before these.
    loop.enqueue { [self] in deliverHeld() }
  }

  private func deliverHeld() {
    guard wantsBytes, phase == .open else { return }
    if !held.isEmpty {
      let bytes = held
      held = []
      bytes.withUnsafeBytes { onReceive?($0) }
    }
    if wantsBytes, isEndHeld {
      isEndHeld = false
      onEnd?(.peerClosed)
    }
    armReceive()
  }

  private func armReceive() {
    guard wantsBytes, receiving == nil, !hasReceiveEnded, phase == .open || phase == .lingering
    else { return }
    guard loop.receiveBuffers == nil else {
      return receiving = loop.submit(self, .receive(descriptor: descriptor))
    }
    let buffer = ownBuffer ?? .allocate(byteCount: Self.ownBufferBytes, alignment: 16)
    ownBuffer = buffer
    receiving = loop.submit(self, .receiveInto(descriptor: descriptor, buffer: buffer))
  }

  private func receiveCompleted(_ result: Int32, _ flags: CompletionFlags) {
    if !flags.contains(.more) {
      receiving = nil
      isReceiveCancelled = false
    }
    switch result {
    case 1...: received(Int(result), flags)
    case 0: receiveEnded()
    case -ENOBUFS: loop.statistics.receiveBuffersExhausted.add()
    case -ECANCELED, -EINTR, -EAGAIN: break
    default: failed(failure("receive", result))
    }
    armReceive()
  }

  private func received(_ count: Int, _ flags: CompletionFlags) {
    if flags.contains(.hasBuffer), let buffers = loop.receiveBuffers {
      let index = flags.bufferIndex
      deliver(buffers.bytes(index, count: count))
      buffers.recycle(index)
    } else if let ownBuffer {
      deliver(UnsafeRawBufferPointer(rebasing: ownBuffer[..<count]))
    }
  }

  private func deliver(_ bytes: UnsafeRawBufferPointer) {
    guard phase == .open, !hasFailed else { return }
    if wantsBytes, held.isEmpty { onReceive?(bytes) } else { held.append(contentsOf: bytes) }
  }

  private func receiveEnded() {
    hasReceiveEnded = true
    if phase == .lingering, hasSentEnd { return close() }
    guard phase == .open else { return }
    if wantsBytes, held.isEmpty { onEnd?(.peerClosed) } else { isEndHeld = true }
  }
}

// MARK: - Sending

extension Socket {
  /// Bytes queued and not yet taken by the kernel; for back-pressure, see `onDrained`.
  package var queuedBytes: Int { queue.bytes }

  /// Queues `bytes`; they leave at the end of this turn of the loop together with whatever else
  /// is queued by then. Ignored once the socket is closed or has failed.
  package func send(_ bytes: [UInt8]) {
    guard canSend, !bytes.isEmpty else { return }
    queue.append(bytes, frontInFlight: sending != nil)
    scheduleSend()
  }

  /// Queues a copy of `bytes`.
  package func send(_ bytes: UnsafeRawBufferPointer) {
    guard canSend, !bytes.isEmpty else { return }
    queue.append(copying: bytes, frontInFlight: sending != nil)
    scheduleSend()
  }

  /// Ends the stream to the peer after everything queued; the peer may go on sending.
  package func shutdownWrite() {
    guard canSend else { return }
    endsWhenSent = true
    if queue.isEmpty { sent() }
  }

  private var canSend: Bool { phase == .open && !hasFailed && !endsWhenSent }

  private func scheduleSend() {
    guard sending == nil, !isSendScheduled else { return }
    isSendScheduled = true
    loop.sendLater(self)
  }

  /// Hands the front of the queue to the ring. One send is in flight at a time, so order holds.
  func sendQueued() {
    isSendScheduled = false
    guard sending == nil, phase == .open || phase == .lingering, let bytes = queue.front()
    else { return }
    sending = loop.submit(self, .send(descriptor: descriptor, bytes: bytes))
  }

  private func sendCompleted(_ result: Int32) {
    sending = nil
    switch result {
    case 0...: queue.advance(Int(result))
    case -ECANCELED, -EINTR, -EAGAIN: break
    default: failed(failure("send", result))
    }
    guard !hasFailed, phase == .open || phase == .lingering else { return }
    if queue.isEmpty { sent() } else { sendQueued() }
  }

  private func sent() {
    if endsWhenSent, !hasSentEnd {
      hasSentEnd = true
      shutdown(descriptor, Int32(SHUT_WR))
    }
    if phase == .lingering { discardRest() } else { onDrained?() }
  }
}

// MARK: - Closing

extension Socket {
  /// Closes at once; what is queued is lost. No callback runs afterwards except `onClosed`. Safe
  /// with operations in flight: the descriptor closes after the last of them.
  package func close() {
    guard phase == .open || phase == .lingering else { return }
    phase = .closing
    dropCallbacks()
    lingerTimer?.cancel()
    lingerTimer = nil
    held = []
    if let receiving, !isReceiveCancelled { loop.cancel(receiving) }
    if let sending { loop.cancel(sending) }
    finishClosing()
  }

  /// Closes once everything queued is sent and the peer has had time to read it. No callback runs
  /// afterwards except `onClosed`.
  package func closeAfterSending() {
    guard phase == .open else { return }
    if hasFailed { return close() }
    phase = .lingering
    dropCallbacks()
    held = []
    endsWhenSent = true
    lingerTimer = loop.schedule(after: Self.lingerMax) { [self] in close() }
    if queue.isEmpty { sent() }
  }

  /// Reads and drops what the peer still sends, until it closes its end too.
  private func discardRest() {
    if hasReceiveEnded { return close() }
    lingerTimer?.cancel()
    lingerTimer = loop.schedule(after: Self.discardMax) { [self] in close() }
    wantsBytes = true
    armReceive()
  }

  private func failed(_ failure: IOFailure) {
    guard !hasFailed else { return }
    hasFailed = true
    hasReceiveEnded = true
    if phase == .lingering { return close() }
    guard phase == .open else { return }
    queue.drop(keepingFront: sending != nil)
    held = []
    isEndHeld = false
    onEnd?(.failed(failure))
  }

  /// The callbacks often own the connection that owns this socket: that circle ends here.
  private func dropCallbacks() {
    onReceive = nil
    onEnd = nil
    onDrained = nil
  }

  private func finishClosing() {
    guard phase == .closing, receiving == nil, sending == nil else { return }
    phase = .closed
    Glibc.close(descriptor)
    guard let body = onClosed else { return }
    onClosed = nil
    loop.enqueue(body)
  }
}

extension Socket: RingClient {
  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    if operation == .send {
      sendCompleted(result)
    } else {
      receiveCompleted(result, flags)
    }
    finishClosing()
  }

  func abandoned() {
    guard phase != .closed else { return }
    phase = .closed
    Glibc.close(descriptor)
    dropCallbacks()
    onClosed = nil
    lingerTimer = nil
  }
}
