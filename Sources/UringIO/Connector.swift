package import Base
import Glibc

/// One attempt to connect, and the handle that cancels it.
private final class Connector: RingClient, Cancellable {
  private let loop: EventLoop
  private let descriptor: Int32
  private let address: SocketAddress
  /// The kernel reads it when the operation is submitted, after this call.
  private let raw: RawAddress
  private var connecting: OperationID?
  private var timer: (any Cancellable)?
  private var hasTimedOut = false
  private var completion: ((Result<Socket, IOFailure>) -> Void)?

  private static let cancelPause = Nanoseconds.milliseconds(10)

  init(
    loop: EventLoop, descriptor: Int32, address: (SocketAddress, RawAddress),
    completion: @escaping (Result<Socket, IOFailure>) -> Void
  ) {
    self.loop = loop
    self.descriptor = descriptor
    (self.address, raw) = address
    self.completion = completion
  }

  func start(timeout: Nanoseconds) {
    connecting = loop.submit(
      self, .connect(descriptor: descriptor, address: raw.pointer, length: raw.length))
    timer = loop.schedule(after: timeout) { [self] in
      hasTimedOut = true
      cancelOperation()
    }
  }

  /// Again and again until it has ended: the kernel can lose a cancellation that comes while it hands
  /// the operation to a thread of its own.
  private func cancelOperation() {
    guard let connecting else { return }
    loop.cancel(connecting)
    timer = loop.schedule(after: Self.cancelPause) { [self] in cancelOperation() }
  }

  /// The completion is not called any more; the descriptor closes when the kernel lets go of it.
  func cancel() {
    guard completion != nil else { return }
    completion = nil
    timer?.cancel()
    cancelOperation()
  }

  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    connecting = nil
    timer?.cancel()
    timer = nil
    guard let completion else { return _ = Glibc.close(descriptor) }
    self.completion = nil
    if result == 0 {
      completion(.success(Socket(loop: loop, descriptor: descriptor)))
    } else {
      Glibc.close(descriptor)
      // Cancelled by us; a unix socket that waits for a place in the backlog says EINTR instead.
      let code = hasTimedOut ? ETIMEDOUT : -result
      completion(
        .failure(IOFailure(code: code, operation: "connect", subject: address.description)))
    }
  }

  func abandoned() {
    completion = nil
    if connecting != nil { Glibc.close(descriptor) }
    connecting = nil
  }
}

extension EventLoop {
  /// Connects to `address`; after `timeout` it fails with ETIMEDOUT. The completion is called
  /// later, never from inside this call, and not after `cancel()`.
  @discardableResult
  package func connect(
    to address: SocketAddress, timeout: Nanoseconds,
    completion: @escaping (Result<Socket, IOFailure>) -> Void
  ) -> any Cancellable {
    do throws(IOFailure) {
      let raw = try RawAddress(address)
      let descriptor = try streamSocket(raw.family, for: "connect", address)
      let connector = Connector(
        loop: self, descriptor: descriptor, address: (address, raw), completion: completion)
      connector.start(timeout: timeout)
      return connector
    } catch {
      return schedule(after: .zero) { completion(.failure(error)) }
    }
  }
}
