import Base
import HTTP
import TestSupport
import Testing
import UringIO

/// A client that sends exactly the bytes it is told to and keeps what comes back.
final class RawClient {
  let socket: Socket
  private(set) var received: [UInt8] = []
  private(set) var hasEnded = false
  private let harness: LoopHarness

  init(_ harness: LoopHarness, _ address: SocketAddress, receives: Bool = true) throws {
    self.harness = harness
    var result: Result<Socket, IOFailure>?
    harness.loop.connect(to: address, timeout: LoopHarness.deadline) { result = $0 }
    #expect(harness.until { result != nil })
    socket = try #require(result).get()
    socket.onReceive = { [unowned self] in received.append(contentsOf: $0) }
    socket.onEnd = { [unowned self] _ in hasEnded = true }
    if receives { socket.startReceiving() }
  }

  deinit { socket.close() }

  var text: String { String(decoding: received, as: UTF8.self) }

  var unsentBytes: Int { socket.queuedBytes }
  var isAllSent: Bool { unsentBytes == 0 }

  func send(_ text: String) { socket.send(Array(text.utf8)) }

  /// Sends `count` bytes and says how many the server has left unread in the end.
  func bytesLeft(ofFlood count: Int) -> Int {
    socket.send([UInt8](repeating: 0x0D, count: count))
    _ = harness.until(deadline: .milliseconds(300)) { socket.queuedBytes == 0 }
    return socket.queuedBytes
  }

  /// Runs the loop until what came contains `text`.
  func expect(_ text: String, _ location: SourceLocation = #_sourceLocation) {
    let found = harness.until { self.text.contains(text) }
    #expect(found, "no \(text) in: \(self.text)", sourceLocation: location)
  }

  func expectEnd(_ location: SourceLocation = #_sourceLocation) {
    #expect(harness.until { hasEnded }, "still open", sourceLocation: location)
  }

  /// Answers so far, told by their status lines (no test sends `HTTP/1.1 ` in a body).
  var statuses: [Int] {
    var found: [Int] = []
    let mark = Array("HTTP/1.1 ".utf8)
    var at = 0
    while at + 12 <= received.count {
      if received[at] == mark[0], received[at..<at + 9].elementsEqual(mark) {
        found.append(Int(String(decoding: received[at + 9..<at + 12], as: UTF8.self)) ?? 0)
      }
      at += 1
    }
    return found
  }
}

/// A server with a few routes to test with, on a port of its own.
final class TestServer {
  let server: HTTPServer
  let address: SocketAddress
  /// Requests of `/wait` and `/stream`, to be answered by the test.
  private(set) var waiting: [(request: HTTPRequest, responder: HTTPResponder)] = []
  private(set) var gone: [ClientGone] = []
  private(set) var requests = 0

  init(
    _ harness: LoopHarness, _ limits: HTTPLimits = HTTPLimits(),
    on address: SocketAddress = .ipv4(host: "127.0.0.1", port: 0)
  ) throws {
    var handle: HTTPServer.Handler?
    server = HTTPServer(loop: harness.loop, limits: limits) { handle?($0, $1) }
    self.address = try server.listen(on: address)
    handle = { [unowned self] in self.handle($0, $1) }
  }

  deinit { server.close() }

  /// Answers the oldest request of `/wait`.
  func answer(_ body: String) {
    waiting.removeFirst().responder.respond(HTTPResponse(status: 200, body: Array(body.utf8)))
  }

  /// Lets go of the requests that wait.
  func dropWaiting() { waiting = [] }

  private func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
    requests += 1
    switch request.path.first {
    case "echo":
      responder.respond(
        HTTPResponse(
          status: 200, fields: [HTTPField("X-Method", request.method.name)], body: request.body))
    case "path":
      let local = request.isLocalSocket ? " local" : ""
      responder.respond(
        HTTPResponse(
          status: 200, body: Array((request.path.joined(separator: "|") + local).utf8)))
    case "empty": responder.respond(HTTPResponse(status: 204))
    case "large":
      let count = Int(request.target.parameter("bytes") ?? "") ?? 0
      responder.respond(
        HTTPResponse(status: 200, body: [UInt8](repeating: 0x78, count: count)))
    case "drop": break
    case "stream":
      responder.beginEvents()
      wait(request, responder)
    case "wait": wait(request, responder)
    default: responder.respond(HTTPResponse(status: 404))
    }
  }

  private func wait(_ request: HTTPRequest, _ responder: HTTPResponder) {
    responder.onClientGone = { [unowned self] reason in gone.append(reason) }
    waiting.append((request, responder))
  }
}

/// Runs `body` with a loop and a server.
func withServer(
  _ limits: HTTPLimits = HTTPLimits(), clock: any Clock = SystemClock(),
  _ body: (LoopHarness, TestServer) throws -> Void
) throws {
  try LoopHarness.run(clock: clock) { harness in
    let server = try TestServer(harness, limits)
    try body(harness, server)
    server.server.close()
    #expect(harness.until { server.server.connectionCount == 0 })
  }
}

func get(_ path: String, _ fields: String = "") -> String {
  "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n"
}

func post(_ path: String, _ body: String, _ fields: String = "") -> String {
  "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n"
    + "\(fields)\r\n\(body)"
}
