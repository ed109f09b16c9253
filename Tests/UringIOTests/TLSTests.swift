// Contract: TLS over a socket behaves like the socket: every byte in order, back-pressure, half-close;
// and in addition trusts nobody it should not, and takes no end of the stream for one without a
// close_notify. OpenSSL's own programs and Python's ssl module are the other side where it matters.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct TLSTests {
  @Test(arguments: IOKind.allCases) func bytesGoBothWaysAndTheEndIsSaid(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ $0 >> 8) }
      let (there, back) = (Outcome(), Outcome())
      there.watch(server)
      back.watch(client)
      // Before the handshake: it waits for it.
      client.send(sent)
      client.shutdownWrite()
      client.startReceiving()
      server.startReceiving()
      #expect(harness.until { !there.ends.isEmpty })
      #expect(there.received == sent)
      #expect(there.ends == [.peerClosed])
      // The half that is still open.
      server.send([4, 5, 6])
      server.closeAfterSending()
      #expect(harness.until { !back.ends.isEmpty })
      #expect(back.received == [4, 5, 6])
      #expect(back.ends == [.peerClosed])
      #expect(client.version == "TLSv1.3")
      #expect(client.applicationProtocol == "kfm/1")
      #expect(server.failure == nil && client.failure == nil)
    }
  }

  @Test(arguments: [1, 2, 5, 64, 1_000]) func anySplitOfTheBytesIsTheSame(piece: Int) throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      let (clientSide, left) = try rawPair(harness.loop)
      let (right, serverSide) = try rawPair(harness.loop)
      let splitter = Splitter(left, right, piece: piece)
      let (server, client) = try secured(folder, serverSide, clientSide)
      let (there, back) = (Outcome(), Outcome())
      there.watch(server)
      back.watch(client)
      server.startReceiving()
      client.startReceiving()
      client.send([1, 2, 3])
      #expect(harness.until { there.received == [1, 2, 3] })
      server.send([9])
      #expect(harness.until { back.received == [9] })
      for socket in [server, client] { socket.close() }
      splitter.close()
    }
  }

  @Test func anEndAnywhereWithoutCloseNotifyIsATruncation() throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      var outcomes: Set<TLSFailure.Cause> = []
      // The client's first flight is some 300 bytes, its second 58, then come its records.
      for limit in [1, 5, 100, 200, 250, 300, 330, 360, 400, 1_000] {
        let (clientSide, left) = try rawPair(harness.loop)
        let (right, serverSide) = try rawPair(harness.loop)
        let splitter = Splitter(left, right, piece: 4_096, limit: limit)
        let (server, client) = try secured(folder, serverSide, clientSide)
        let there = Outcome()
        there.watch(server)
        server.startReceiving()
        client.startReceiving()
        client.send([UInt8](repeating: 7, count: 2_000))
        #expect(harness.until { !there.ends.isEmpty })
        #expect(there.received.count < 2_000)
        if let cause = server.failure?.cause { outcomes.insert(cause) }
        guard case .failed = there.ends.first else {
          Issue.record("limit \(limit): \(there.ends)")
          return
        }
        for socket in [server, client] { socket.close() }
        splitter.close()
      }
      #expect(outcomes == [.truncated])
    }
  }

  @Test func aPausedReaderIsNotDecipheredFor() throws {
    try withPair(.uring) { harness, client, server in
      let there = Outcome()
      there.watch(server)
      var isEnded = false
      var received = 0
      server.onReceive = { bytes in
        received += bytes.count
        server.pauseReceiving()
      }
      server.onEnd = { _ in isEnded = true }
      server.startReceiving()
      client.startReceiving()
      let chunk = [UInt8](repeating: 3, count: 1 << 20)
      for _ in 0..<16 { client.send(chunk) }
      client.shutdownWrite()
      #expect(harness.until { received > 0 })
      for _ in 0..<200 { harness.loop.runOnce() }
      #expect(received <= 65_536)
      #expect(!isEnded)
      server.onReceive = { received += $0.count }
      server.resumeReceiving()
      #expect(harness.until { isEnded })
      #expect(received == 16 << 20)
    }
  }

  @Test(arguments: ["wronghost", "selfsigned", "expired"])
  func aCertificateThatDoesNotFitIsRefused(kind: String) throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost", isExpired: kind == "expired")
      let (clientSide, serverSide) = try rawPair(harness.loop)
      let context = try TLSContext.server(
        certificateFile: folder.file("localhost.pem"), keyFile: folder.file("localhost.key"))
      let trust =
        kind == "selfsigned"
        ? try TLSContext.client() : try TLSContext.client(trustFile: folder.file("localhost.pem"))
      let server = try TLSSocket(serverSide, context: context)
      let client = try TLSSocket(
        clientSide, context: trust, host: kind == "wronghost" ? "example.org" : "localhost")
      let (there, back) = (Outcome(), Outcome())
      there.watch(server)
      back.watch(client)
      client.send([1])
      server.startReceiving()
      client.startReceiving()
      #expect(harness.until { !back.ends.isEmpty })
      #expect(client.failure?.cause == .certificateRefused)
      #expect(client.failure?.description.contains("trusted root") == true)
      client.close()
      // It is told why, and has seen nothing of what was to be sent.
      #expect(harness.until { !there.ends.isEmpty })
      #expect(server.failure?.cause == .broken)
      #expect(there.received.isEmpty)
      server.close()
    }
  }

  @Test func filesThatAreNoneAreNamedWithARemedy() throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      try folder.make(harness, "other")
      folder.write("empty.pem", "no certificate")
      let cases: [(String, String, TLSFailure.Cause)] = [
        ("missing.pem", "localhost.key", .certificateFile),
        ("empty.pem", "localhost.key", .certificateFile),
        ("localhost.pem", "missing.key", .keyFile), ("localhost.pem", "empty.pem", .keyFile),
        ("localhost.pem", "other.key", .keyMismatch),
      ]
      for (certificate, key, cause) in cases {
        let failure = #expect(throws: TLSFailure.self) {
          try TLSContext.server(
            certificateFile: folder.file(certificate), keyFile: folder.file(key))
        }
        #expect(failure?.cause == cause, "\(certificate), \(key)")
        #expect(failure?.description.contains("give") == true)
      }
      let failure = #expect(throws: TLSFailure.self) {
        try TLSContext.client(trustFile: folder.file("missing.pem"))
      }
      #expect(failure?.cause == .trustFile)
    }
  }

  private func withPair(
    _ io: IOKind, _ body: (LoopHarness, TLSSocket, TLSSocket) throws -> Void
  ) throws {
    try LoopHarness.run(io) { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      let (clientSide, serverSide) = try rawPair(harness.loop)
      let (server, client) = try secured(folder, serverSide, clientSide)
      try body(harness, client, server)
      client.close()
      server.close()
    }
  }

  private func secured(
    _ folder: CertificateFolder, _ serverSide: Socket, _ clientSide: Socket
  ) throws -> (TLSSocket, TLSSocket) {
    let server = try TLSContext.server(
      certificateFile: folder.file("localhost.pem"), keyFile: folder.file("localhost.key"),
      protocols: ["kfm/2", "kfm/1"])
    let client = try TLSContext.client(
      trustFile: folder.file("localhost.pem"), protocols: ["kfm/1"])
    return (
      try TLSSocket(serverSide, context: server),
      try TLSSocket(clientSide, context: client, host: "localhost")
    )
  }
}

/// Two sockets of one loop that are connected with each other.
func rawPair(_ loop: EventLoop) throws -> (Socket, Socket) {
  var ends: [Int32] = [-1, -1]
  try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
  return (Socket(loop: loop, descriptor: ends[0]), Socket(loop: loop, descriptor: ends[1]))
}
