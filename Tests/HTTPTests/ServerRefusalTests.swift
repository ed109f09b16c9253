import Base
import Glibc
import HTTP
import TestSupport
import Testing
import UringIO

// Contract: what is refused is answered with its status and the connection ends; limits of time,
// output and number hold; nothing of a dead connection stays behind.

private func quick(_ change: (inout HTTPLimits) -> Void) -> HTTPLimits {
  var limits = HTTPLimits()
  change(&limits)
  return limits
}

@Suite struct ServerRefusalTests {
  @Test(arguments: [
    ("GET /path HTTP/1.1\r\n\r\n", 400),
    ("GET /path HTTP/1.1\nHost: a\n\n", 400),
    ("\u{16}\u{3}\u{1}", 400),
    (get("/path", "X: " + String(repeating: "a", count: 100_000) + "\r\n"), 431),
    (post("/echo", "x", "Transfer-Encoding: chunked\r\n"), 400),
  ])
  func malformedRequestsEndTheConnection(_ text: String, _ status: Int) throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/path/good") + text + get("/path/never"))
      client.expectEnd()
      #expect(client.statuses == [200, status])
      #expect(client.text.contains("Connection: close\r\n"))
      #expect(!client.text.contains("never"))
    }
  }

  @Test func theOwnerFormatsRefusals() throws {
    try LoopHarness.run { harness in
      let server = HTTPServer(
        loop: harness.loop,
        formatFailure: { failure, head in
          HTTPResponse(
            status: failure.status,
            body: Array("\(failure.status) \(head?.target.segments ?? [])".utf8))
        },
        handler: { _, _ in Issue.record("handled") })
      let address = try server.listen(on: .ipv4(host: "127.0.0.1", port: 0))
      let early = try RawClient(harness, address)
      early.send("\n")
      early.expect("400 []")
      let late = try RawClient(harness, address)
      late.send(post("/a/b", "", "Transfer-Encoding: chunked\r\n"))
      late.expect("400 []")
      let body = try RawClient(harness, address)
      body.send("POST /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")
      body.expect("413 [\"a\", \"b\"]")
      server.close()
    }
  }

  @Test func aBodyOverTheLimitIsAnsweredWhileItIsSent() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      let size = 6 << 20
      client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
      client.expect("HTTP/1.1 413 Content Too Large\r\n")
      client.socket.send([UInt8](repeating: 0x61, count: size))
      #expect(harness.until { client.socket.queuedBytes == 0 })
      client.expectEnd()
      #expect(client.statuses == [413])
      #expect(server.requests == 0)
    }
  }

  @Test func moreThanTheLingerLimitIsNotRead() throws {
    let limits = quick {
      $0.bodyBytesMax = 1 << 20
      $0.lingerTimeout = .seconds(60)
    }
    try withServer(limits) { harness, server in
      let client = try RawClient(harness, server.address)
      client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n")
      client.expect("HTTP/1.1 413 ")
      client.socket.send([UInt8](repeating: 0x61, count: 40 << 20))
      #expect(harness.until { server.server.connectionCount == 0 })
    }
  }

  @Test func allBodiesTogetherAreBounded() throws {
    let limits = quick { $0.bodiesBytesMax = 65_000 }
    try withServer(limits) { harness, server in
      let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
      let half = String(repeating: "a", count: 59_999)
      let first = try RawClient(harness, server.address)
      first.send(head + half)
      let gone = try RawClient(harness, server.address)
      gone.send(head + String(half.prefix(5_001)))
      // The server has read both: it answers a third that came after them.
      let other = try RawClient(harness, server.address)
      other.send(get("/empty"))
      other.expect("204")
      other.socket.close()
      let second = try RawClient(harness, server.address)
      second.send(head + half)
      second.expectEnd()
      #expect(second.statuses == [503])
      gone.socket.close()
      second.socket.close()
      #expect(harness.until { server.server.connectionCount == 1 })
      first.send("a")
      #expect(harness.until { first.received.count > 60_000 })
      let third = try RawClient(harness, server.address)
      third.send(head + half + "a")
      #expect(harness.until { third.received.count > 60_000 })
    }
  }

  @Test func expectIsAnsweredBeforeTheBody() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
      client.send(head + "3\r\n\r\n")
      client.expect("HTTP/1.1 100 Continue\r\n\r\n")
      client.send("abc")
      client.expect("abc")
      client.send(head + "2\r\n\r\nde")
      client.expect("de")
      #expect(client.statuses == [100, 200, 200])
      client.send(head + "99999999\r\n\r\n")
      client.expectEnd()
      #expect(client.statuses == [100, 200, 200, 413])
    }
  }

  @Test func slowHeadsAndBodiesTimeOut() throws {
    let clock = LeapClock()
    try withServer(clock: clock) { harness, server in
      let head = try RawClient(harness, server.address)
      head.send("GET /path HTTP/1.1\r\nHo")
      let body = try RawClient(harness, server.address)
      body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
      let silent = try RawClient(harness, server.address)
      // The server has read all three: it answers a fourth that came after them.
      let other = try RawClient(harness, server.address)
      other.send(get("/empty"))
      other.expect("204")
      clock.leap(HTTPLimits().headTimeout + HTTPLimits().bodyIdleTimeout)
      for client in [head, body] {
        client.expectEnd()
        #expect(client.statuses == [408])
      }
      silent.expectEnd()
      #expect(silent.received.isEmpty)
    }
  }

  @Test func trickledBodiesEnd() throws {
    let limits = quick { $0.bodyTimeout = .milliseconds(60) }
    try withServer(limits) { harness, server in
      let client = try RawClient(harness, server.address)
      client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
      let isEnded = harness.until {
        client.send("x")
        return client.hasEnded
      }
      #expect(isEnded)
      #expect(client.statuses == [408])
    }
  }

  @Test func idleConnectionsEndWithoutAWord() throws {
    let limits = quick { $0.idleTimeout = .milliseconds(40) }
    try withServer(limits) { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/empty"))
      client.expectEnd()
      #expect(client.statuses == [204])
    }
  }

  @Test func answersInProgressHaveNoDeadline() throws {
    let clock = LeapClock()
    try withServer(clock: clock) { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/wait"))
      #expect(harness.until { server.waiting.count == 1 })
      clock.leap(.seconds(100_000))
      for _ in 0..<100 { harness.loop.runOnce() }
      #expect(!client.hasEnded)
      server.answer("late")
      client.expect("late")
    }
  }

  @Test func aSlowReaderIsCut() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address, receives: false)
      client.send(get("/stream"))
      #expect(harness.until { server.waiting.count == 1 })
      let responder = server.waiting[0].responder
      let piece = [UInt8](repeating: 0x79, count: 10_000)
      var queuedMax = 0
      while piece.withUnsafeBytes({ responder.write($0) }) {
        queuedMax = max(queuedMax, responder.queuedBytes)
        harness.loop.runOnce()
      }
      #expect(queuedMax <= HTTPLimits.responseQueueBytesMax + 20_000)
      #expect(server.gone == [.slow])
      #expect(!responder.isOpen)
      #expect(server.server.statistics.slowClients.value == 1)
    }
  }

  @Test func aClientThatTakesNothingIsCut() throws {
    let limits = quick { $0.sendTimeout = .milliseconds(50) }
    try withServer(limits) { harness, server in
      let client = try RawClient(harness, server.address, receives: false)
      client.send(get("/large?bytes=30000000"))
      #expect(harness.until { server.requests == 1 })
      #expect(harness.until { server.server.connectionCount == 0 })
      #expect(client.received.isEmpty)
    }
  }

  @Test func handlersHearThatTheClientIsGone() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/stream"))
      client.expect("event-stream")
      client.socket.close()
      #expect(harness.until { server.gone == [.closed] })
      server.waiting[0].responder.writeEvent("x", id: nil, data: Array("y".utf8))
      server.waiting[0].responder.end()
      #expect(harness.until { server.server.connectionCount == 0 })
    }
  }

  @Test func aHalfClosedClientGetsItsAnswers() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/wait") + get("/path/second"))
      client.socket.shutdownWrite()
      #expect(harness.until { server.waiting.count == 1 })
      harness.loop.runOnce()
      server.answer("first")
      client.expectEnd()
      #expect(client.statuses == [200, 200])
      #expect(client.text.contains("path|second"))
    }
  }

  /// Its end comes in any turn of the loop, also between an answer and the next request.
  @Test(arguments: 0..<12)
  func aHalfClosedClientGetsTheAnswersToAllItSentBefore(turns: Int) throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(String(repeating: get("/large?bytes=30000"), count: 60))
      for _ in 0..<turns { harness.loop.runOnce() }
      client.socket.shutdownWrite()
      client.expectEnd()
      #expect(client.statuses.count == 60)
    }
  }

  @Test func aHalfClosedClientGetsWhatIsQueuedOfAStream() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address, receives: false)
      client.send(get("/stream"))
      #expect(harness.until { server.waiting.count == 1 })
      let responder = server.waiting[0].responder
      let piece = [UInt8](repeating: 0x79, count: 10_000)
      var count = 0
      while responder.queuedBytes < HTTPLimits.responseQueueBytesMax / 2 {
        #expect(piece.withUnsafeBytes { responder.write($0) })
        count += piece.count
        harness.loop.runOnce()
      }
      client.socket.shutdownWrite()
      #expect(harness.until { server.gone == [.closed] })
      client.socket.startReceiving()
      client.expectEnd()
      #expect(client.received.count { $0 == 0x79 } >= count)
      #expect(harness.until { server.server.connectionCount == 0 })
    }
  }

  @Test func connectionsAreCounted() throws {
    let limits = quick { $0.connectionsMax = 2 }
    try withServer(limits) { harness, server in
      let first = try RawClient(harness, server.address)
      let second = try RawClient(harness, server.address)
      for client in [first, second] {
        client.send(get("/empty"))
        client.expect("204")
      }
      let third = try RawClient(harness, server.address)
      third.expectEnd()
      #expect(third.statuses == [503])
      second.socket.close()
      #expect(harness.until { server.server.connectionCount == 1 })
      let fourth = try RawClient(harness, server.address)
      fourth.send(get("/empty"))
      fourth.expect("204")
    }
  }

  @Test func nothingOfDeadConnectionsStays() throws {
    try withServer { harness, server in
      #expect(sockets(on: server.address.port) == 1)
      for round in 0..<60 {
        let client = try RawClient(harness, server.address)
        switch round % 4 {
        case 0: client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        case 1: client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        case 2: client.send(get("/stream"))
        default: client.send("garbage")
        }
        harness.loop.runOnce()
        client.socket.close()
      }
      #expect(harness.until { server.server.statistics.connections.value == 60 })
      #expect(harness.until { server.server.connectionCount == 0 })
      server.dropWaiting()
      #expect(harness.until { sockets(on: server.address.port) == 1 })
    }
  }

  @Test func closingTellsHandlers() throws {
    try withServer { harness, server in
      let client = try RawClient(harness, server.address)
      client.send(get("/wait"))
      #expect(harness.until { server.waiting.count == 1 })
      server.server.close()
      #expect(server.gone == [.serverClosed])
      client.expectEnd()
    }
  }
}

/// Sockets of this process with `port` at one of their ends. Other tests run meanwhile, so all
/// descriptors cannot be counted.
private func sockets(on port: UInt16) -> Int {
  (0..<4_096).count { descriptor in
    [getsockname, getpeername].contains { name in
      var address = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let result = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          name(Int32(descriptor), $0, &length)
        }
      }
      return result == 0 && address.sin_family == sa_family_t(AF_INET)
        && UInt16(bigEndian: address.sin_port) == port
    }
  }
}
