package import Base

/// A socket for code that awaits: what arrives is gathered, one `await` takes all of it. Used by
/// tasks of the socket's loop only (`EventLoop.startTask`), one at a time per direction.
package final class AsyncSocket {
  package let socket: Socket
  private var gathered: [UInt8] = []
  private var end: SocketEnd?
  private var reader: UnsafeContinuation<Void, Never>?
  private var writer: UnsafeContinuation<Void, Never>?

  /// Bytes gathered before receiving pauses, and queued before `send` waits.
  private static let bytesMax = 262_144

  /// Takes over the callbacks of `socket` and starts receiving.
  package init(_ socket: Socket) {
    self.socket = socket
    socket.onReceive = { [self] bytes in
      gathered.append(contentsOf: bytes)
      if gathered.count >= Self.bytesMax { socket.pauseReceiving() }
      resumeReader()
    }
    socket.onEnd = { [self] end in
      self.end = end
      resumeReader()
      resumeWriter()
    }
    socket.onDrained = { [self] in resumeWriter() }
    socket.startReceiving()
  }

  /// All bytes that have arrived, waiting for the first; nil after the peer's last byte.
  package nonisolated(nonsending) func receive() async throws(IOFailure) -> [UInt8]? {
    if gathered.isEmpty, end == nil {
      await withUnsafeContinuation { reader = $0 }
    }
    if gathered.isEmpty {
      if case .failed(let failure) = end { throw failure }
      return nil
    }
    let bytes = gathered
    gathered = []
    socket.resumeReceiving()
    return bytes
  }

  /// Queues `bytes`, and waits while too many are queued.
  package nonisolated(nonsending) func send(_ bytes: [UInt8]) async throws(IOFailure) {
    if case .failed(let failure) = end { throw failure }
    socket.send(bytes)
    if socket.queuedBytes > Self.bytesMax {
      await withUnsafeContinuation { writer = $0 }
    }
    if case .failed(let failure) = end { throw failure }
  }

  /// Closes at once; whoever waits is released as at the end of the stream.
  package func close() {
    socket.close()
    if end == nil { end = .peerClosed }
    resumeReader()
    resumeWriter()
  }

  private func resumeReader() {
    let waiting = reader
    reader = nil
    waiting?.resume()
  }

  private func resumeWriter() {
    let waiting = writer
    writer = nil
    waiting?.resume()
  }
}

extension EventLoop {
  /// Runs `body` as a task of this loop. It suspends and resumes on the loop's thread, so it may
  /// use what belongs to the loop. To be called on the loop.
  @discardableResult
  package func startTask(_ body: @escaping (EventLoop) async -> Void) -> Task<Void, Never> {
    let confined = LoopConfined((self, body))
    return Task(executorPreference: taskExecutor) {
      let (loop, body) = confined.take()
      await body(loop)
    }
  }

  /// Suspends a task of this loop for `duration`.
  package nonisolated(nonsending) func sleep(for duration: Nanoseconds) async {
    await withUnsafeContinuation { continuation in
      _ = schedule(after: duration) { continuation.resume() }
    }
  }
}

/// Carries a value of the loop through a closure that must be Sendable.
// Sendable because only the loop's thread has it: what a loop's task runs never leaves that thread.
private final class LoopConfined<Value>: @unchecked Sendable {
  private var value: Value?

  init(_ value: Value) { self.value = value }

  func take() -> Value {
    defer { value = nil }
    return value!
  }
}
