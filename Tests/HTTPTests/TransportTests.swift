import Base
import Glibc
import HTTP
import TestSupport
import Testing
import UringIO

// Contract of HTTPTransport, for each implementation: an answer comes as head, pieces, end, as it
// arrives; every way it can fail is told apart; cancelling ends it at once; connections are used
// again. TLS: see TransportTLSTests.

/// Set once and left: other threads may read the environment at any time.
private let proxyOfTheEnvironment = setenv("http_proxy", "http://127.0.0.1:1", 1)

@Suite struct TransportTests {
  @Test(arguments: TransportKind.allCases)
  func asksAndHears(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      let body = Array("hello".utf8)
      let echo = Exchange(
        transport,
        HTTPClientRequest(
          method: .post, url: server.url("/echo"),
          fields: [HTTPField("Content-Type", "text/plain"), HTTPField("X-Empty", "")], body: body))
      #expect(harness.until { echo.result != nil })
      #expect(echo.isComplete)
      #expect(echo.status == 200)
      #expect(echo.fields["x-method"] == "POST")
      #expect(echo.body == body)
      let path = Exchange(transport, HTTPClientRequest(url: server.url("/path/a%2Fb?x=1")))
      #expect(harness.until { path.result != nil })
      #expect(path.text == "path|a/b")
      let missing = Exchange(transport, HTTPClientRequest(url: server.url("/nosuch")))
      #expect(harness.until { missing.isComplete })
      #expect(missing.status == 404)
    }
  }

  @Test(arguments: TransportKind.allCases)
  func answersWithoutBodies(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      for (method, path, status) in [
        (HTTPMethod.get, "/empty", 204), (.head, "/large?bytes=70000", 200), (.post, "/echo", 200),
        (.delete, "/path", 200),
      ] {
        let exchange = Exchange(
          transport, HTTPClientRequest(method: method, url: server.url(path)))
        #expect(harness.until { exchange.isComplete })
        #expect(exchange.status == status)
      }
      #expect(server.server.statistics.connections.value == 1)
    }
  }

  @Test(arguments: TransportKind.allCases)
  func largeBodiesGoBothWays(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let exchange = Exchange(
        transport, HTTPClientRequest(method: .post, url: server.url("/echo"), body: body))
      #expect(harness.until { exchange.result != nil })
      #expect(exchange.body == body)
    }
  }

  @Test(arguments: TransportKind.allCases)
  func streamsArriveAsTheyAreWritten(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      let exchange = Exchange(transport, HTTPClientRequest(url: server.url("/stream")))
      try #require(harness.until { server.waiting.count == 1 })
      let responder = server.waiting[0].responder
      for index in 0..<50 {
        responder.writeEvent("delta", id: nil, data: Array("\(index)".utf8))
        try #require(harness.until { exchange.text.hasSuffix("data: \(index)\n\n") })
      }
      #expect(exchange.result == nil)
      responder.end()
      #expect(harness.until { exchange.isComplete })
    }
  }

  @Test(arguments: TransportKind.allCases)
  func cancellingClosesTheConnection(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      let exchange = Exchange(transport, HTTPClientRequest(url: server.url("/stream")))
      try #require(harness.until { exchange.status == 200 })
      exchange.handle?.cancel()
      #expect(harness.until { server.gone == [.closed] })
      exchange.handle?.cancel()
      // From inside an event, and before it has begun.
      let inside = Exchange(transport, HTTPClientRequest(url: server.url("/stream")))
      inside.onBody = { inside.handle?.cancel() }
      let unbegun = Exchange(transport, HTTPClientRequest(url: server.url("/path")))
      unbegun.handle?.cancel()
      try #require(harness.until { server.waiting.count == 2 })
      server.waiting[1].responder.writeEvent("x", id: nil, data: Array("y".utf8))
      #expect(harness.until { server.gone.count == 2 })
      let after = Exchange(transport, HTTPClientRequest(url: server.url("/path")))
      #expect(harness.until { after.isComplete })
      #expect(exchange.ends + inside.ends + unbegun.ends == 0)
      #expect(unbegun.status == nil)
    }
  }

  @Test(arguments: TransportKind.allCases)
  func connectionsAreUsedAgain(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      for _ in 0..<20 {
        let exchange = Exchange(
          transport, HTTPClientRequest(method: .post, url: server.url("/echo"), body: [1]))
        #expect(harness.until { exchange.isComplete })
      }
      #expect(server.server.statistics.connections.value == 1)
    }
  }

  @Test(arguments: TransportKind.allCases)
  func twoHundredAtOnce(_ kind: TransportKind) throws {
    try withTransport(kind) { harness, transport, server in
      let exchanges = (0..<200).map { _ in
        Exchange(transport, HTTPClientRequest(url: server.url("/wait")))
      }
      try #require(harness.until { server.waiting.count == 200 })
      for index in 0..<200 { server.answer("answer \(index)") }
      #expect(harness.until { exchanges.allSatisfy(\.isComplete) })
      #expect(Set(exchanges.map(\.text)).count == 200)
      #expect(exchanges.allSatisfy { $0.ends == 1 })
    }
  }

  @Test(arguments: TransportKind.allCases)
  func unixSocketsAreReached(_ kind: TransportKind) throws {
    for length in [1, 120] {
      try LoopHarness.run { harness in
        let folder = "/tmp/kfm-\(kind)-\(getpid())-" + String(repeating: "x", count: length)
        #expect(mkdir(folder, 0o700) == 0)
        defer { rmdir(folder) }
        let server = try TestServer(harness, on: .unix(path: folder + "/kfm.sock"))
        let transport = kind.make(harness.loop)
        var request = HTTPClientRequest(url: "http://localhost/path")
        request.unixSocketPath = folder + "/kfm.sock"
        let exchange = Exchange(transport, request)
        #expect(harness.until { exchange.result != nil })
        #expect(exchange.text == "path local")
        transport.close()
        server.server.close()
      }
    }
  }

  @Test(arguments: TransportKind.allCases)
  func proxiesOfTheEnvironmentAreIgnored(_ kind: TransportKind) throws {
    _ = proxyOfTheEnvironment
    try withTransport(kind) { harness, transport, server in
      let exchange = Exchange(transport, HTTPClientRequest(url: server.url("/path")))
      #expect(harness.until { exchange.isComplete })
    }
  }
}
