import Base
import Glibc
import UringIO

/// `kfm bench echo-server`: the loop's sockets alone, for any load generator.
struct EchoServerCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "echo-server"],
    summary: "send back over TCP what comes, on the sockets that HTTP uses",
    flags: [
      FlagDefinition(
        name: "port", kind: .integer("P", 0...65_535),
        summary: "port on 127.0.0.1; 0 takes a free one (0)"),
      FlagDefinition(
        name: "io", kind: .choice(IOChoice.allCases.map(\.rawValue)),
        summary: "what waits for the sockets (auto)"),
      FlagDefinition(
        name: "loops", kind: .integer("N", 1...64),
        summary: "event loops, each on its own thread; they take connections in turn (1)"),
      FlagDefinition(
        name: "tls-cert", kind: .file, summary: "PEM certificate: over TLS, with --tls-key"),
      FlagDefinition(name: "tls-key", kind: .file, summary: "PEM key of that certificate"),
      FlagDefinition(name: "json", kind: nil, summary: "the ready line as one JSON object"),
    ],
    examples: [
      Example("kfm bench echo-server --port 7007", "one loop, until SIGINT or SIGTERM"),
      Example("kfm bench echo-server --loops 2 --json", "two loops on a free port"),
      Example(
        "kfm bench echo-server --port 7008 --tls-cert cert.pem --tls-key key.pem", "over TLS"),
    ]
  ) { typed throws(UsageError) in try EchoServerCommand(typed) }

  private let port: UInt16
  private let io: IOChoice
  private let loops: Int
  private let isJSON: Bool
  private let certificate: String?
  private let key: String?

  private var options: EventLoopOptions {
    var options = EventLoopOptions()
    options.io = io
    return options
  }

  private init(_ typed: TypedArguments) throws(UsageError) {
    port = UInt16(typed.integer("port") ?? 0)
    io = typed["io"].flatMap(IOChoice.init) ?? .auto
    loops = typed.integer("loops") ?? 1
    isJSON = typed.has("json")
    certificate = typed["tls-cert"]
    key = typed["tls-key"]
    guard (certificate == nil) == (key == nil) else {
      throw UsageError("--tls-cert and --tls-key: expected both or none")
    }
    guard certificate == nil || loops == 1 else {
      throw UsageError("--loops: expected 1 with --tls-cert")
    }
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let loop = try EventLoop.forCommand(context, options: options)
    defer { loop.close() }
    do throws(IOFailure) {
      try loop.signals([SIGINT, SIGTERM]) { _ in loop.stop() }
    } catch {
      throw CommandFailure(.failed, "\(error)")
    }
    let tls = try makeContext()
    let others = try startOthers()
    defer { for other in others { other.stop() } }
    let server = try listen(loop, others.map(\.handle), tls)
    sayReady(context, loop.io, server.address)
    loop.run()
    server.close()
    return .ok
  }

  private func makeContext() throws(CommandFailure) -> TLSContext? {
    guard let certificate, let key else { return nil }
    do throws(TLSFailure) {
      return try .server(certificateFile: certificate, keyFile: key)
    } catch {
      throw CommandFailure(.usage, error.description)
    }
  }

  private func startOthers() throws(CommandFailure) -> [LoopThread] {
    var others: [LoopThread] = []
    do throws(RingFailure) {
      while others.count < loops - 1 { others.append(try LoopThread(options: options)) }
      return others
    } catch {
      for other in others { other.stop() }
      throw CommandFailure(.ringForbidden, error.description)
    }
  }

  private func listen(
    _ loop: EventLoop, _ others: [EventLoopHandle], _ tls: TLSContext?
  ) throws(CommandFailure) -> EchoServer {
    do throws(IOFailure) {
      return try EchoServer(
        loop: loop, address: .ipv4(host: "127.0.0.1", port: port), others: others, tls: tls)
    } catch {
      throw error.isAddressInUse
        ? CommandFailure(
          .addressInUse, "port \(port) is in use by another process; stop it, or choose another")
        : CommandFailure(.failed, "cannot listen on 127.0.0.1:\(port): \(error)")
    }
  }

  /// The one line that whoever started this waits for.
  private func sayReady(_ context: CommandContext, _ io: IOKind, _ address: SocketAddress) {
    context.output.line(
      isJSON
        ? JSON.object([
          "address": .string(address.description), "port": .int(Int64(address.port)),
          "io": .string(io.rawValue), "loops": .int(Int64(loops)),
          "pid": .int(Int64(getpid())),
        ]).text
        : "listening on \(address) (io: \(io.rawValue), loops: \(loops))")
    context.output.flush()
  }
}
