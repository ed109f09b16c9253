import Base
import Glibc
import HTTP
import TestSupport
import Testing
import UringIO

// Contract: over real sockets, every request gets exactly one answer, in order, on a connection
// that lives as long as both sides want; a client learns why it was refused before the connection
// ends. Not shown here: behaviour over a lossy network.

@Suite struct ServerTests {
  @Test func connectionsAreKept() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/path/a%2Fb/c"))
      client.expect("path|a/b|c")
      client.send(post("/echo", "hello"))
      client.expect("hello")
      #expect(client.statuses == [200, 200])
      #expect(!client.text.contains("Connection:"))
      #expect(client.text.contains("Date: "))
      #expect(server.server.statistics.connections.value == 1)
    }
  }

  @Test func connectionCloseIsHonoured() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/path", "Connection: close\r\n") + get("/path"))
      client.expectEnd()
      #expect(client.statuses == [200])
      #expect(client.text.contains("Connection: close\r\n"))
    }
  }

  @Test func oldClientsAreServed() throws {
    try withServer { harness, server in
      let plain = try RawClient(harness, server.address)
      plain.send("GET /path HTTP/1.0\r\n\r\n")
      plain.expectEnd()
      #expect(plain.statuses == [200])
      let kept = try RawClient(harness, server.address)
      kept.send("GET /path HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      kept.expect("Connection: keep-alive\r\n")
      let streamed = try RawClient(harness, server.address)
      streamed.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      #expect(harness.until { server.waiting.count == 1 })
      server.waiting[0].responder.writeEvent("a", id: nil, data: Array("1".utf8))
      server.waiting[0].responder.end()
      streamed.expectEnd()
      #expect(streamed.text.hasSuffix("\r\n\r\nevent: a\ndata: 1\n\n"))
      #expect(!streamed.text.contains("chunked"))
    }
  }

  @Test func everySplitOfARequestIsAnswered() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      let request = Array(post("/echo", "abc").utf8)
      for cut in 1..<request.count {
        client.socket.send(Array(request[..<cut]))
        harness.loop.runOnce()
        client.socket.send(Array(request[cut...]))
        try #require(harness.until { client.statuses.count == cut })
      }
      #expect(client.statuses.allSatisfy { $0 == 200 })
      #expect(server.server.statistics.connections.value == 1)
    }
  }

  @Test func pipelinedRequestsAreAnsweredInOrder() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/wait") + post("/echo", "second") + get("/wait") + get("/path/fourth"))
      #expect(harness.until { server.waiting.count == 1 })
      #expect(server.requests == 1)
      server.answer("first")
      client.expect("second")
      #expect(harness.until { server.waiting.count == 1 })
      #expect(server.requests == 3)
      server.answer("third")
      client.expect("fourth")
      let order = ["first", "second", "third", "fourth"].compactMap {
        client.text.firstRange(of: $0)?.lowerBound
      }
      #expect(order.count == 4 && order == order.sorted())
    }
  }

  @Test func thousandsOfPipelinedRequestsNeitherRecurseNorPileUp() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      let count = 1_000
      client.send(String(repeating: get("/wait") + get("/empty"), count: count))
      for _ in 0..<count {
        try #require(harness.until { server.waiting.count == 1 })
        server.answer("x")
      }
      #expect(harness.until { server.requests == 2 * count && client.socket.queuedBytes == 0 })
      #expect(harness.until { client.statuses.count == 2 * count })
    }
  }

  @Test func requestsBehindAWaitingOneStayInTheKernel() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/wait"))
      #expect(harness.until { server.waiting.count == 1 })
      #expect(client.bytesLeft(ofFlood: 60 << 20) > 30 << 20)
    }
  }

  @Test func aPipelineOfAClientThatDoesNotReadWaits() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address, receives: false)
      client.send(String(repeating: get("/large?bytes=900000"), count: 100))
      _ = harness.until(deadline: .milliseconds(200)) { false }
      #expect(server.requests < 20)
      client.socket.startReceiving()
      #expect(harness.until { client.received.count > 90_000_000 })
      #expect(server.requests == 100)
    }
  }

  @Test func headHasNoBody() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send("HEAD /large?bytes=7 HTTP/1.1\r\nHost: a\r\n\r\n" + get("/empty"))
      client.expect("HTTP/1.1 204 No Content\r\n")
      #expect(client.text.contains("Content-Length: 7\r\n"))
      #expect(!client.text.contains("x"))
      #expect(client.text.components("Content-Length") == 1)
      client.send("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(harness.until { server.waiting.count == 1 })
      server.waiting[0].responder.writeEvent("never", id: nil, data: Array("x".utf8))
      server.waiting[0].responder.end()
      client.send(get("/path/after"))
      client.expect("path|after")
      #expect(!client.text.contains("never"))
    }
  }

  @Test func chunksGoBothWays() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nT: 1\r\n\r\n" + get("/stream"))
      client.expect("wikipedia")
      #expect(harness.until { server.waiting.count == 1 })
      let responder = server.waiting[0].responder
      responder.writeEvent("delta", id: "1.2", data: Array(String(repeating: "d", count: 300).utf8))
      responder.writeComment("ping")
      responder.end()
      client.expect("0\r\n\r\n")
      #expect(client.text.contains("Transfer-Encoding: chunked\r\n"))
      #expect(client.text.contains("Content-Type: text/event-stream\r\n"))
      #expect(client.text.contains("\r\n149\r\nid: 1.2\nevent: delta\ndata: ddd"))
      #expect(client.text.hasSuffix("\r\n8\r\n: ping\n\n\r\n0\r\n\r\n"))
      client.send(get("/path/after"))
      client.expect("path|after")
    }
  }

  @Test func answersThatWereDroppedAre500() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/drop"))
      client.expect("HTTP/1.1 500 ")
      client.expectEnd()
      let stream = try RawClient(harness, server.address)
      stream.send(get("/wait"))
      #expect(harness.until { server.waiting.count == 1 })
      server.waiting[0].responder.beginEvents()
      server.dropWaiting()
      stream.expectEnd()
      #expect(!stream.text.contains("0\r\n\r\n"))
    }
  }

  @Test func answersCannotBeSplit() throws {
    try LoopHarness.run { harness in
      let server = HTTPServer(loop: harness.loop) { request, responder in
        let value = request.target.parameter("x") ?? ""
        responder.respond(HTTPResponse(status: 200, fields: [HTTPField("X", value)]))
      }
      let address = try server.listen(on: .ipv4(host: "127.0.0.1", port: 0))
      let client = try RawClient(harness, address)
      client.send(get("/?x=a%0d%0aEvil:%201%7f"))
      client.expect("X: a  Evil: 1 \r\n")
      server.close()
    }
  }

  @Test func unixSocketsAreLocal() throws {
    try LoopHarness.run { harness in
      let folder = "/tmp/kfm-http-\(getpid())-" + String(repeating: "x", count: 120)
      #expect(mkdir(folder, 0o700) == 0)
      defer { rmdir(folder) }
      let server = try TestServer(harness, on: .unix(path: folder + "/kfm.sock"))
      let client = try RawClient(harness, server.address)
      client.send("GET /path HTTP/1.1\r\nHost: x\r\n\r\n")
      client.expect("path local")
      server.server.close()
    }
  }

  @Test func drainFinishesWhatRuns() throws {
    try withServer { harness, server in
      let idle = try RawClient(harness, server.address)
      idle.send(get("/path"))
      idle.expect("path")
      let busy = try RawClient(harness, server.address)
      busy.send(get("/wait"))
      #expect(harness.until { server.waiting.count == 1 })
      var isDrained = false
      server.server.drain { isDrained = true }
      idle.expectEnd()
      #expect(!isDrained)
      server.answer("last")
      busy.expect("last")
      busy.expectEnd()
      #expect(busy.text.contains("Connection: close\r\n"))
      #expect(harness.until { isDrained })
      #expect(throws: (any Error).self) { try RawClient(harness, server.address) }
    }
  }

  @Test func drainOfNothingEnds() throws {
    try withServer { harness, server in
      var isDrained = false
      server.server.drain { isDrained = true }
      #expect(harness.until { isDrained })
    }
  }
}

extension String {
  func components(_ part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let found = rest.firstRange(of: part) {
      count += 1
      rest = rest[found.upperBound...]
    }
    return count
  }
}
