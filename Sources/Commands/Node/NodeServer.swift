import Base
import Configuration
import Gateway
import Glibc
import Observability
import UringIO

/// `kfm serve`: one node from its start to its end, on the calling thread.
package final class NodeServer {
  private let start: NodeStart
  private let loop: EventLoop
  private let log: StructuredLogger
  private let logger: Logger
  private var node: NodeAssembly?
  private var reloader: ConfigReloader?
  private let startedAt: Nanoseconds
  private var isStopping = false

  /// Runs a node until SIGTERM or SIGINT. What keeps it from starting is one line and an exit code.
  package static func serve(_ start: NodeStart) throws(CommandFailure) -> ExitCode {
    let loop: EventLoop
    do throws(RingFailure) {
      var options = EventLoopOptions()
      options.io = IOChoice(rawValue: start.loaded.node.node.io) ?? .auto
      loop = try EventLoop(options: options, clock: start.context.clock)
    } catch {
      throw StartFailure(error).commandFailure
    }
    let server = NodeServer(start, loop)
    defer { server.log.stop() }
    do throws(StartFailure) {
      try server.open()
    } catch {
      throw error.commandFailure
    }
    loop.run()
    return .ok
  }

  private init(_ start: NodeStart, _ loop: EventLoop) {
    self.start = start
    self.loop = loop
    startedAt = loop.clock.monotonic()
    log = StructuredLogger(
      ring: LogRing(), descriptor: STDERR_FILENO, clock: loop.clock,
      settings: LogSettings(start.loaded.node.log))
    logger = Logger(module: "node", ring: log.ring, clock: loop.clock)
  }

  private func open() throws(StartFailure) {
    if let fallback = loop.fallback {
      logger.warning(
        "epoll is used in place of io_uring",
        [
          "cause": .string(fallback.cause.rawValue), "detail": .string(fallback.description),
          "remedy": .string("kfm doctor"),
        ])
    }
    do throws(IOFailure) {
      try loop.signals([SIGTERM, SIGINT, SIGHUP]) { [weak self] in self?.received($0) }
    } catch {
      throw StartFailure("cannot watch signals: \(error)", exitCode: .failed)
    }
    loop.onStall { [logger] stall in
      logger.warning(
        "the event loop was held up",
        [
          "by": .string(stall.activity), "milliseconds": .int(stall.duration.milliseconds),
          "unreported": .int(Int64(stall.unreported)),
        ])
    }
    let node = try NodeAssembly(start.loaded, loop, log, logger)
    self.node = node
    try node.openEngine()
    try node.listen()
    let reloader = ConfigReloader(
      current: start.loaded, read: { [start] in start.read() }, logger: logger.named("config"),
      apply: { [weak node] in node?.apply($0) })
    reloader.watchFile(on: loop)
    self.reloader = reloader
    let now = loop.clock.monotonic()
    log.announce(
      "listening", module: "node",
      [
        "address": .string(node.gateway.address?.description ?? ""),
        "startup_ms": .int((now - startedAt).milliseconds),
        "data_dir": .string(start.loaded.node.node.dataDirectory),
        "version": .string(BuildInfo.version), "io": .string(loop.io.rawValue),
      ])
  }

  private func received(_ signal: Int32) {
    switch signal {
    case SIGHUP: reloader?.reload(reason: "SIGHUP")
    default:
      // Asked twice: whoever asks will not wait for running turns; the log is safe at any time.
      if isStopping { _exit(130) }
      stop(signal == SIGTERM ? "SIGTERM" : "SIGINT")
    }
  }

  private func stop(_ reason: String) {
    isStopping = true
    logger.info("stopping", ["reason": .string(reason)])
    node?.stop { [loop] in loop.stop() }
  }
}

extension NodeStart {
  /// Reads the configuration again.
  fileprivate func read() -> Result<LoadedConfiguration, ConfigFailure> {
    do throws(ConfigFailure) {
      return .success(try ConfigLoader(inputs).load())
    } catch {
      return .failure(error)
    }
  }
}
