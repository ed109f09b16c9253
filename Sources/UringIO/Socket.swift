import Base
import CLinux
import CURing
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
  /// The kernel has taken what was queued. Called each time a send ends with `lowWaterBytes` or
  /// less in the queue.
  package var onDrained: (() -> Void)?
  /// 0: `onDrained` is called when the queue has run empty. Above 0, `onDrained` is called only for
  /// what was still queued when `send` returned.
  package var lowWaterBytes = 0
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
  /// Receives before one operation goes on for all of them again. A consumer that pauses now and
  /// then gets one operation each: stopping a running one costs more than starting the next.
  private var receivesUntilStream = 0
  /// What arrived while receiving was paused; handed over before anything newer.
  private var held: SendQueue
  private var isEndHeld = false
  private var peerWatch: PeerWatch?
  /// Used only where the kernel has no buffer rings.
  private var ownBuffer: UnsafeMutableRawBufferPointer?

  // Sending
  private var queue: SendQueue
  /// Pieces at the front of the queue that the kernel reads now.
  private var piecesInFlight = 0
  /// Where the kernel finds several pieces; made when there are several for the first time.
  private var message: SendMessage?
  private var sending: OperationID?
  private var isSendScheduled = false
  private var endsWhenSent = false
  private var hasSentEnd = false

  /// Received bytes from which on they are passed on at once.
  private static let passedOnBytesMin = 16_384
  /// How many receives without a pause let a socket have one operation for all again.
  private static let receivesAfterPause = 64
  /// Bytes of a socket's own buffer.
  private static let ownBufferBytes = 16_384
  /// How long a peer may take nothing of what is left after `closeAfterSending()`.
  private static let lingerMax = Nanoseconds.seconds(30)
  /// How long bytes of the peer are thrown away after the last byte was sent to it: closing with
  /// unread bytes resets the connection, and the reset destroys an answer not yet read.
  private static let discardMax = Nanoseconds.seconds(2)

  /// Takes over a connected descriptor, best in blocking mode: the ring waits for none that is not,
  /// and says EAGAIN, upon which it is made blocking.
  package init(loop: EventLoop, descriptor: Int32) {
    self.loop = loop
    self.descriptor = descriptor
    queue = SendQueue(blocks: loop.blocks)
    held = SendQueue(blocks: loop.blocks)
  }

  deinit {
    peerWatch?.close()
    if phase != .closed { Glibc.close(descriptor) }
    ownBuffer?.deallocate()
  }

  /// Gives the descriptor to the caller, who owns it from now on: for handing a connection to
  /// another loop. Only before the socket was used.
  package func detach() -> Int32 {
    precondition(
      phase == .open && receiving == nil && sending == nil && queue.isEmpty,
      "only an unused socket gives its descriptor away")
    phase = .closed
    return descriptor
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
    receivesUntilStream = Self.receivesAfterPause
    watchPeer()
    guard let receiving, !isReceiveCancelled else { return }
    isReceiveCancelled = true
    loop.cancel(receiving)
  }

  package func resumeReceiving() {
    guard phase == .open, !wantsBytes else { return }
    wantsBytes = true
    peerWatch?.resumed()
    if held.isEmpty, !isEndHeld { return armReceive() }
    // Not from inside the caller: it may be in the middle of the bytes before these.
    loop.enqueue { [self] in deliverHeld() }
  }

  private func watchPeer() {
    guard phase == .open, !hasFailed else { return }
    let watch =
      peerWatch
      ?? PeerWatch(loop: loop, descriptor: descriptor) { [unowned self] code in
        failed(failure("receive", -code))
      }
    peerWatch = watch
    watch.paused()
  }

  private func deliverHeld() {
    // Out of the queue before it is handed over: the callback may close the socket.
    while wantsBytes, phase == .open, !hasFailed, let piece = held.takeFront() {
      handOver(piece.bytes, of: piece.receivedBlock)
      SendQueue.release(piece, loop.blocks)
    }
    guard wantsBytes, phase == .open else { return }
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
      guard receivesUntilStream > 0 else {
        return receiving = loop.submit(self, .receive(descriptor: descriptor))
      }
      receivesUntilStream -= 1
      return receiving = loop.submit(self, .receiveOnce(descriptor: descriptor))
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
    case -ECANCELED, -EINTR: break
    case -EAGAIN: kfm_set_blocking(descriptor, 1)
    default: failed(failure("receive", result))
    }
    armReceive()
  }

  private func received(_ count: Int, _ flags: CompletionFlags) {
    if flags.contains(.hasBuffer), let buffers = loop.receiveBuffers {
      let index = flags.bufferIndex
      deliver(buffers.bytes(index, count: count), of: buffers.block(index))
      buffers.recycle(index)
    } else if let ownBuffer {
      deliver(UnsafeRawBufferPointer(rebasing: ownBuffer[..<count]), of: nil)
    }
  }

  private func deliver(_ bytes: UnsafeRawBufferPointer, of block: Block?) {
    guard phase == .open, !hasFailed else { return }
    if wantsBytes, held.isEmpty { return handOver(bytes, of: block) }
    if let block, bytes.count >= loop.blocks.lentBytesMin {
      held.append(bytes, of: block)
    } else {
      held.append(copying: bytes)
    }
  }

  private func handOver(_ bytes: UnsafeRawBufferPointer, of block: Block?) {
    guard let onReceive else { return }
    if let block, let buffers = loop.receiveBuffers {
      buffers.deliver(bytes, of: block, to: onReceive)
    } else {
      onReceive(bytes)
    }
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
    queue.append(bytes)
    scheduleSend()
  }

  /// Queues `bytes`: a copy, or the received buffer itself where an `onReceive` of this loop passes
  /// on what it was just given.
  package func send(_ bytes: UnsafeRawBufferPointer) {
    guard canSend, !bytes.isEmpty else { return }
    guard bytes.count >= loop.blocks.lentBytesMin,
      let block = loop.receiveBuffers?.block(of: bytes)
    else {
      queue.append(copying: bytes)
      return scheduleSend()
    }
    let sent = passOn(bytes)
    guard sent < bytes.count else { return }
    queue.append(UnsafeRawBufferPointer(rebasing: bytes[sent...]), of: block)
    scheduleSend()
  }

  /// Queues bytes of memory that is used again after the call.
  func sendFromScratch(_ bytes: UnsafeRawBufferPointer) {
    guard canSend else { return }
    let sent = passOn(bytes)
    guard sent < bytes.count else { return }
    queue.append(copying: UnsafeRawBufferPointer(rebasing: bytes[sent...]))
    scheduleSend()
  }

  /// Sends a large piece while it is still in the cache, instead of with all others at the end of
  /// the turn, when it has left it. Only for those that look at `queuedBytes` after a send: they
  /// wait for no `onDrained` when it is 0. Returns how much the kernel took.
  private func passOn(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard bytes.count >= Self.passedOnBytesMin, lowWaterBytes > 0, queue.isEmpty, sending == nil
    else { return 0 }
    // An error comes back from the ring, with everything else that is to be done about it.
    return max(
      0,
      Glibc.send(
        descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL)))
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

  /// Sends without the ring what the kernel takes at once, and hands the rest to the ring.
  func sendNow() {
    guard sending == nil, phase == .open || phase == .lingering, let front = queue.front else {
      isSendScheduled = false
      return
    }
    let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
    let result =
      queue.count == 1
      ? Glibc.send(descriptor, front.baseAddress, front.count, flags)
      : sendmsg(descriptor, fillMessage(), flags)
    // An error comes back from the ring, with everything else that is to be done about it.
    guard result > 0 else { return sendQueued() }
    piecesInFlight = 0
    queue.advance(result)
    isSendScheduled = false
    afterSend()
  }

  /// Hands the front of the queue to the ring. One send is in flight at a time, so order holds.
  /// Not by send_zc: on loopback it took 1.35 to 2.8 times the CPU time of a send that copies, from
  /// 16 KiB on, and it keeps its buffers until a second completion.
  func sendQueued() {
    isSendScheduled = false
    guard sending == nil, phase == .open || phase == .lingering, let front = queue.front
    else { return }
    piecesInFlight = 1
    sending =
      queue.count == 1
      ? loop.submit(self, .send(descriptor: descriptor, bytes: front))
      : loop.submit(self, .sendMessage(descriptor: descriptor, message: fillMessage()))
  }

  /// Gathers pieces from the front of the queue.
  private func fillMessage() -> UnsafePointer<msghdr> {
    let message = message ?? SendMessage()
    self.message = message
    piecesInFlight = queue.gather(into: message.pieces)
    return message.header(pieces: piecesInFlight)
  }

  private func sendCompleted(_ result: Int32) {
    sending = nil
    piecesInFlight = 0
    switch result {
    case 0...: queue.advance(Int(result))
    case -ECANCELED, -EINTR: break
    case -EAGAIN: kfm_set_blocking(descriptor, 1)
    default: failed(failure("send", result))
    }
    guard !hasFailed, phase == .open || phase == .lingering else { return }
    afterSend()
  }

  private func afterSend() {
    guard !queue.isEmpty else { return sent() }
    // A peer that reads slowly is no reason to give up, one that does not read is.
    if phase == .lingering { waitForPeer() }
    sendQueued()
    if phase == .open, queue.bytes <= lowWaterBytes { onDrained?() }
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
    peerWatch?.close()
    peerWatch = nil
    lingerTimer?.cancel()
    lingerTimer = nil
    held.drop(keeping: 0)
    if let receiving, !isReceiveCancelled { loop.cancel(receiving) }
    if let sending { loop.cancel(sending) }
    queue.drop(keeping: piecesInFlight)
    finishClosing()
  }

  /// Closes once everything queued is sent and the peer has had time to read it. No callback runs
  /// afterwards except `onClosed`.
  package func closeAfterSending() {
    guard phase == .open else { return }
    if hasFailed { return close() }
    phase = .lingering
    dropCallbacks()
    peerWatch?.close()
    peerWatch = nil
    held.drop(keeping: 0)
    endsWhenSent = true
    waitForPeer()
    if queue.isEmpty { sent() }
  }

  private func waitForPeer() {
    lingerTimer?.cancel()
    lingerTimer = loop.schedule(after: Self.lingerMax) { [self] in close() }
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
    queue.drop(keeping: piecesInFlight)
    held.drop(keeping: 0)
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
    queue.drop(keeping: 0)
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
