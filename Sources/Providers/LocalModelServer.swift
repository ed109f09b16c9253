package import Base
package import Events
import Glibc
package import UringIO

/// Runs the local model server as a child of the node: starts it in the background, restarts it
/// when it ends, kills it with the node. Calls wait, for a bounded time, until it is ready.
package final class LocalModelServer {
  /// A cold start reads 93 MB of weights: 2.6 to 5.7 s were measured on a busy machine.
  package static let readyWaitMax = Nanoseconds.seconds(60)
  /// A child that is not ready by then is started anew.
  private static let startTimeout = Nanoseconds.seconds(120)
  private static let lastWordsWait = Nanoseconds.milliseconds(20)
  private static let backoffFirst = Nanoseconds.seconds(1)
  private static let backoffMax = Nanoseconds.seconds(60)

  private enum State {
    case stopped
    case starting
    case ready(port: UInt16)
    /// Ended; starts again when the timer fires.
    case waiting(reason: String)
  }

  private struct Child {
    let process: ChildProcess
    let readers: [LineReader]
    let startTimer: any Cancellable
  }

  private let directory: String
  private let threads: Int
  private let loop: EventLoop
  private let logger: Logger
  private var state = State.stopped
  private var child: Child?
  private var backoff = LocalModelServer.backoffFirst
  private var restart: (any Cancellable)?
  private var waiters: [ReadyWaiter] = []

  package init(directory: String, threads: Int, loop: EventLoop, logger: Logger) {
    self.directory = directory
    self.threads = threads
    self.loop = loop
    self.logger = logger
  }

  /// Begins to supervise; returns at once.
  package func start() {
    guard case .stopped = state else { return }
    spawn()
  }

  /// Kills the child; whoever waits is told that there is no model.
  package func stop() {
    state = .stopped
    restart?.cancel()
    restart = nil
    endChild()
    answerWaiters(
      .failure(TurnFailure(.providerUnavailable, "the local model has been stopped")))
  }

  /// Calls `body` with the server's port, on a later turn of the loop, as soon as it is ready, or
  /// with a failure when it is not within `readyWaitMax`.
  package func whenReady(
    _ body: @escaping (Result<UInt16, TurnFailure>) -> Void
  ) -> any Cancellable {
    let waiter = ReadyWaiter(body)
    if case .ready(let port) = state {
      loop.enqueue { waiter.answer(.success(port)) }
      return waiter
    }
    waiter.timer = loop.schedule(after: Self.readyWaitMax) { [weak self, weak waiter] in
      waiter?.answer(.failure(self?.notReady ?? TurnFailure(.providerUnavailable, "stopped")))
    }
    waiters.removeAll { $0.isAnswered }
    waiters.append(waiter)
    return waiter
  }

  package func reachability() -> (reachable: Bool, detail: String) {
    switch state {
    case .ready(let port): (true, "serves on port \(port)")
    case .starting: (true, "is starting")
    case .waiting(let reason): (false, reason)
    case .stopped: (false, "is stopped")
    }
  }

  private var notReady: TurnFailure {
    let seconds = Int(Self.readyWaitMax.seconds)
    return TurnFailure(
      .providerUnavailable,
      "the local model \(reachability().detail) and was not ready within \(seconds) s")
  }
}

/// Who waits for the server.
private final class ReadyWaiter: Cancellable {
  private var body: ((Result<UInt16, TurnFailure>) -> Void)?
  var timer: (any Cancellable)?

  init(_ body: @escaping (Result<UInt16, TurnFailure>) -> Void) { self.body = body }

  var isAnswered: Bool { body == nil }

  func answer(_ result: Result<UInt16, TurnFailure>) {
    let body = body
    cancel()
    body?(result)
  }

  func cancel() {
    body = nil
    timer?.cancel()
    timer = nil
  }
}

// MARK: - The child

extension LocalModelServer {
  private func spawn() {
    state = .starting
    do throws(IOFailure) {
      let port = try Self.freePort()
      var options = SpawnOptions(
        executable: "\(directory)/\(LocalModelFiles.python)",
        arguments: [
          "\(directory)/\(LocalModelFiles.server)", "--port", "\(port)", "--threads",
          "\(threads)",
        ])
      options.environment = [
        "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=\(directory)", "PYTHONUNBUFFERED=1",
      ]
      options.standardOutput = .pipe
      options.standardError = .pipe
      watch(try loop.spawn(options), port: port)
    } catch {
      ended("\(error)")
    }
  }

  private func watch(_ process: ChildProcess, port: UInt16) {
    let output = LineReader(loop: loop, descriptor: process.standardOutput) { [weak self] line in
      if line == "READY" { self?.becameReady(process, port: port) }
    }
    let errors = LineReader(loop: loop, descriptor: process.standardError) { [logger] line in
      logger.debug("model server", ["line": .string(line)])
    }
    let timer = loop.schedule(after: Self.startTimeout) { [weak self] in
      self?.logger.warning("the local model server is not ready and is started anew")
      process.kill(SIGKILL, group: true)
    }
    child = Child(process: process, readers: [output, errors], startTimer: timer)
    process.onExit { [weak self, loop] status in
      // Its last words are still in the pipe.
      loop.schedule(after: Self.lastWordsWait) {
        guard let self, self.child?.process === process else { return }
        let words = errors.lastLine.map { ": \($0)" } ?? ""
        self.ended("ended with \(status)\(words)")
      }
    }
  }

  private func becameReady(_ process: ChildProcess, port: UInt16) {
    guard let child, child.process === process, case .starting = state else { return }
    child.startTimer.cancel()
    backoff = Self.backoffFirst
    state = .ready(port: port)
    logger.info("local model ready", ["port": .int(Int64(port))])
    answerWaiters(.success(port))
  }

  private func ended(_ reason: String) {
    endChild()
    state = .waiting(reason: reason)
    logger.warning(
      "local model server down",
      ["reason": .string(reason), "retry_ms": .int(backoff.milliseconds)])
    restart = loop.schedule(after: backoff) { [weak self] in
      guard let self, case .waiting = self.state else { return }
      self.spawn()
    }
    backoff = min(Nanoseconds(backoff.count * 2), Self.backoffMax)
  }

  private func endChild() {
    guard let child else { return }
    self.child = nil
    child.startTimer.cancel()
    for reader in child.readers { reader.close() }
    child.process.kill(SIGKILL, group: true)
  }

  private func answerWaiters(_ result: Result<UInt16, TurnFailure>) {
    let waiting = waiters
    waiters = []
    for waiter in waiting { waiter.answer(result) }
  }

  /// A port nobody listens on. Somebody may take it before the child does; the child then ends
  /// and is started with another.
  private static func freePort() throws(IOFailure) -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw IOFailure(code: errno, operation: "socket") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        bind(descriptor, generic, length) == 0 ? getsockname(descriptor, generic, &length) : -1
      }
    }
    guard status == 0 else { throw IOFailure(code: errno, operation: "bind") }
    return UInt16(bigEndian: address.sin_port)
  }
}
