import Base
import HTTP
import TestSupport
import Testing
import UringIO

/// Follows one exchange of a transport.
final class Exchange {
  private(set) var status: Int?
  private(set) var fields = HTTPFields.empty
  private(set) var body: [UInt8] = []
  private(set) var result: Result<Void, TransportFailure>?
  /// Calls of `onEnd`; more than one is a mistake.
  private(set) var ends = 0
  /// Called with every piece of the body.
  var onBody: (() -> Void)?
  private(set) var handle: (any Cancellable)?

  init(_ transport: any HTTPTransport, _ request: HTTPClientRequest) {
    handle = transport.start(
      request,
      HTTPResponseEvents(
        onHead: { [unowned self] in
          #expect(status == nil && ends == 0)
          (status, fields) = ($0, $1)
        },
        onBody: { [unowned self] in
          #expect(status != nil && ends == 0)
          body.append(contentsOf: $0)
          onBody?()
        },
        onEnd: { [unowned self] in
          ends += 1
          result = $0
        }))
    #expect(status == nil && result == nil, "events came from inside start")
  }

  var text: String { String(decoding: body, as: UTF8.self) }

  var failure: TransportFailure? {
    if case .failure(let failure)? = result { failure } else { nil }
  }

  var isComplete: Bool {
    if case .success? = result { true } else { false }
  }
}

/// Listens and lets the test write the server's bytes itself.
final class ScriptedServer {
  private(set) var sockets: [Socket] = []
  /// What came on each connection.
  private(set) var received: [[UInt8]] = []
  private(set) var closed = 0
  private var listener: Listener?
  let url: String

  /// `script` is called with the connection's number whenever bytes came on it.
  init(_ harness: LoopHarness, _ script: @escaping (ScriptedServer, Int) -> Void) throws {
    var accept: ((Socket) -> Void)?
    let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { accept?($0) }
    self.listener = listener
    url = "http://127.0.0.1:\(listener.address.port)"
    accept = { [unowned self] socket in
      let index = sockets.count
      sockets.append(socket)
      received.append([])
      socket.onReceive = { [unowned self] in
        received[index].append(contentsOf: $0)
        script(self, index)
      }
      socket.onEnd = { [unowned self] _ in closed += 1 }
      socket.startReceiving()
    }
  }

  deinit { close() }

  func close() {
    listener?.close()
    for socket in sockets { socket.close() }
  }

  func send(_ text: String, on index: Int = 0) { sockets[index].send(Array(text.utf8)) }
}

/// The transports under test, by name.
enum TransportKind: String, CaseIterable, Sendable {
  case curl, plain

  func make(_ loop: EventLoop) -> any ClosableTransport {
    switch self {
    case .curl: CurlTransport(loop: loop)
    case .plain: PlainTransport(loop: loop)
    }
  }
}

protocol ClosableTransport: HTTPTransport {
  func close()
}

extension CurlTransport: ClosableTransport {}
extension PlainTransport: ClosableTransport {}

/// Runs `body` with a loop, a transport of that kind and a server.
func withTransport(
  _ kind: TransportKind, _ body: (LoopHarness, any ClosableTransport, TestServer) throws -> Void
) throws {
  try withServer { harness, server in
    let transport = kind.make(harness.loop)
    try body(harness, transport, server)
    transport.close()
  }
}

extension TestServer {
  func url(_ path: String) -> String { "http://\(address)\(path)" }
}
