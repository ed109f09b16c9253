import Base
import Glibc
import HTTP
import TestSupport
import Testing
import UringIO

// Contract: see TransportTests; here each way to fail, against a server whose bytes are scripted.

private let head = "HTTP/1.1 200 OK\r\n"

private func ask(
  _ kind: TransportKind, _ answer: String, closes: Bool = false,
  _ check: (LoopHarness, Exchange) throws -> Void
) throws {
  try LoopHarness.run { harness in
    let server = try ScriptedServer(harness) { server, index in
      server.send(answer, on: index)
      if closes { server.sockets[index].closeAfterSending() }
    }
    let transport = kind.make(harness.loop)
    try check(harness, Exchange(transport, HTTPClientRequest(url: server.url + "/x")))
    transport.close()
  }
}

private enum Expected: Sendable {
  case answer(String)
  case cut, protocolViolation
}

private let answers: [(String, Bool, Expected)] = [
  (head + "Content-Length: 3\r\n\r\nabc", false, .answer("abc")),
  (head + "content-length:3 \r\n\r\nabc", true, .answer("abc")),
  (head + "\r\nabc", true, .answer("abc")),
  ("HTTP/1.0 200 OK\r\n\r\nabc", true, .answer("abc")),
  ("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", false, .answer("a")),
  ("HTTP/1.1 100 Continue\r\n\r\n" + head + "Content-Length: 1\r\n\r\na", false, .answer("a")),
  (
    "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + head + "Content-Length: 1\r\n\r\na", false,
    .answer("a")
  ),
  (head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false, .answer("abc")),
  (
    head + "Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n2\r\nbc\r\n0\r\nT: 1\r\n\r\n", false,
    .answer("abc")
  ),
  (head + "Content-Length: 5\r\n\r\nabc", true, .cut),
  (head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, .cut),
  (head + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", true, .cut),
  ("", true, .cut),
  (head + "Content-Le", true, .cut),
  ("SSH-2.0-OpenSSH_9.2\r\n", true, .protocolViolation),
  ("HTTP/1.1 OK\r\n\r\n", true, .protocolViolation),
  (head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", true, .protocolViolation),
  (head + String(repeating: "X: 1\r\n", count: 101) + "\r\n", true, .protocolViolation),
  (head + "X: " + String(repeating: "x", count: 70_000) + "\r\n\r\n", true, .protocolViolation),
]

@Suite struct TransportFailureTests {
  @Test(arguments: TransportKind.allCases, 0..<answers.count)
  func answersAreToldApart(_ kind: TransportKind, _ index: Int) throws {
    let (answer, closes, expected) = answers[index]
    try ask(kind, answer, closes: closes) { harness, exchange in
      #expect(harness.until { exchange.result != nil })
      switch (expected, exchange.failure) {
      case (.answer(let text), nil):
        #expect(exchange.status == 200)
        #expect(exchange.text == text)
      case (.cut, .cut?), (.protocolViolation, .protocolViolation?): break
      default: Issue.record("\(answer.prefix(80)): \(String(describing: exchange.result))")
      }
    }
  }

  @Test(arguments: TransportKind.allCases)
  func refusedConnectionsAreUnreachable(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      let transport = kind.make(harness.loop)
      let refused = Exchange(transport, HTTPClientRequest(url: "http://127.0.0.1:1/x"))
      var request = HTTPClientRequest(url: "http://localhost/x")
      request.unixSocketPath = "/tmp/kfm-nobody-listens.sock"
      let missing = Exchange(transport, request)
      #expect(harness.until { refused.result != nil && missing.result != nil })
      for exchange in [refused, missing] {
        guard case .unreachable? = exchange.failure else {
          Issue.record("\(String(describing: exchange.result))")
          continue
        }
      }
      transport.close()
    }
  }

  @Test(arguments: TransportKind.allCases)
  func unknownNamesAreToldAndDoNotBlock(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      let transport = kind.make(harness.loop)
      var turns = 0
      let unknown = Exchange(transport, HTTPClientRequest(url: "http://no-such-host.invalid/x"))
      let known = Exchange(transport, HTTPClientRequest(url: "http://localhost:1/x"))
      let isOver = harness.until {
        turns += 1
        return unknown.result != nil && known.result != nil
      }
      #expect(isOver)
      guard case .nameUnknown? = unknown.failure, case .unreachable? = known.failure else {
        Issue.record("\(String(describing: unknown.result)) \(String(describing: known.result))")
        return
      }
      transport.close()
    }
  }

  @Test(arguments: TransportKind.allCases)
  func requestsThatCannotBeSentAreRefused(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      let transport = kind.make(harness.loop)
      for url in ["ftp://127.0.0.1/x", "", "http://", "http://127.0.0.1:99999/x"] {
        let exchange = Exchange(transport, HTTPClientRequest(url: url))
        #expect(harness.until { exchange.result != nil })
        guard case .requestInvalid? = exchange.failure else {
          Issue.record("\(url): \(String(describing: exchange.result))")
          continue
        }
      }
      transport.close()
    }
  }

  @Test(arguments: TransportKind.allCases)
  func everyTimeoutIsNamed(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      let transport = kind.make(harness.loop)
      let silent = try ScriptedServer(harness) { _, _ in }
      let stalling = try ScriptedServer(harness) { server, index in
        server.send(head + "Content-Length: 9\r\n\r\nabc", on: index)
      }
      var short = HTTPTimeouts()
      short.connect = LoopHarness.deadline
      short.firstByte = .milliseconds(60)
      short.idle = .milliseconds(60)
      // The first byte moves the deadline forward.
      var idle = short
      idle.firstByte = .seconds(60)
      var total = HTTPTimeouts()
      // Connecting counts as well.
      total.total = .seconds(2)
      let cases: [(String, HTTPTimeouts, TransportFailure.Phase)] = [
        (silent.url, short, .firstByte), (stalling.url, idle, .idle), (silent.url, total, .total),
        (stalling.url, total, .total),
      ]
      let exchanges = cases.map { url, timeouts, _ in
        var request = HTTPClientRequest(method: .post, url: url, body: [1])
        request.timeouts = timeouts
        return Exchange(transport, request)
      }
      #expect(harness.until { exchanges.allSatisfy { $0.result != nil } })
      for (exchange, (_, _, phase)) in zip(exchanges, cases) {
        #expect(exchange.failure == .timeout(phase))
        #expect(exchange.ends == 1)
      }
      #expect(harness.until { silent.closed + stalling.closed == 4 })
      transport.close()
    }
  }

  @Test(arguments: TransportKind.allCases)
  func aConnectionThatNeverOpensTimesOut(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      // A full backlog: the kernel answers no further SYN.
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(descriptor) }
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
          #expect(bind(descriptor, pointer, length) == 0)
          #expect(listen(descriptor, 0) == 0)
          getsockname(descriptor, pointer, &length)
        }
      }
      let url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))/x"
      let transport = kind.make(harness.loop)
      var request = HTTPClientRequest(url: url)
      request.timeouts.connect = .milliseconds(80)
      request.timeouts.firstByte = .milliseconds(80)
      let exchanges = (0..<8).map { _ in Exchange(transport, request) }
      #expect(harness.until { exchanges.allSatisfy { $0.result != nil } })
      #expect(exchanges.contains { $0.failure == .timeout(.connect) })
      transport.close()
    }
  }

  @Test(arguments: TransportKind.allCases)
  func aKeptConnectionThatDiedIsReplaced(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      let server = try ScriptedServer(harness) { server, index in
        server.send(head + "Content-Length: 1\r\n\r\na", on: index)
      }
      let transport = kind.make(harness.loop)
      for round in 0..<3 {
        let exchange = Exchange(transport, HTTPClientRequest(url: server.url))
        #expect(harness.until { exchange.isComplete }, "round \(round)")
        #expect(server.sockets.count == round + 1)
        server.sockets[round].close()
        harness.loop.runOnce()
      }
      transport.close()
    }
  }

  @Test(arguments: TransportKind.allCases)
  func aKeptConnectionThatDiesUnderARequestIsReplaced(_ kind: TransportKind) throws {
    try LoopHarness.run { harness in
      let answer = head + "Content-Length: 1\r\n\r\n"
      // The second request on a connection gets no answer.
      let server = try ScriptedServer(harness) { server, index in
        let requests = String(decoding: server.received[index], as: UTF8.self)
        if requests.components("HTTP/1.1\r\n") == 1 {
          server.send(answer + "a", on: index)
        } else {
          server.sockets[index].close()
        }
      }
      let transport = kind.make(harness.loop)
      for round in 0..<3 {
        let exchange = Exchange(transport, HTTPClientRequest(url: server.url))
        try #require(harness.until { exchange.result != nil })
        #expect(exchange.isComplete, "round \(round): \(String(describing: exchange.result))")
      }
      #expect(server.sockets.count == 3)
      transport.close()
    }
  }
}
