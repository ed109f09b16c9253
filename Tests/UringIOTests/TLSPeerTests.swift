// Contract: what other implementations of TLS sockets say is understood, and they understand us:
// `openssl s_client` and `s_server`, and Python's ssl module. Without these programs it says what it
// skips.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct TLSPeerTests {
  @Test(arguments: ["-tls1_3", "-tls1_2"]) func opensslIsAnswered(version: String) throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      let server = try SecureEcho(harness.loop, folder)
      let output = try run(
        harness,
        [
          "openssl", "s_client", version, "-connect", "127.0.0.1:\(server.address.port)",
          "-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error",
          "-CAfile", folder.file("localhost.pem"), "-quiet",
        ], input: "hello\nworld\n", until: "hello\nworld\n")
      #expect(output.contains("hello\nworld\n"))
      server.close()
    }
  }

  @Test func pythonSeesEveryByteAndTheEnd() throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      let server = try SecureEcho(harness.loop, folder)
      // One thread for both directions, since Python's ssl objects bear no two at once.
      // unwrap() wants the close_notify: without it, it raises.
      let script = """
        import select, socket, ssl
        context = ssl.create_default_context(cafile="\(folder.file("localhost.pem"))")
        raw = socket.create_connection(("127.0.0.1", \(server.address.port)))
        s = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
        s.setblocking(False)
        wants = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
        sent = bytes(i * 7 % 251 for i in range(1_000_000))
        left, got = memoryview(sent), b""
        while len(got) < len(sent):
          try:
            if left: left = left[s.send(left[:65536]):]
          except wants: pass
          try: got += s.recv(65536)
          except wants: select.select([s], [s] if left else [], [])
        s.setblocking(True)
        s.unwrap()
        print("same" if got == sent else "different", s.version() or "ended", flush=True)
        """
      let output = try run(harness, ["python3", "-c", script], input: "", until: "\n")
      #expect(output.contains("same"))
      server.close()
    }
  }

  @Test func aServerOfOpensslIsTrustedByItsRoot() throws {
    try LoopHarness.run { harness in
      let folder = try CertificateFolder()
      try folder.make(harness, "localhost")
      var options = SpawnOptions(
        executable: opensslProgram,
        arguments: [
          "s_server", "-accept", "127.0.0.1:0", "-key", folder.file("localhost.key"), "-cert",
          folder.file("localhost.pem"), "-rev",
        ])
      options.standardOutput = .pipe
      let process = try harness.loop.spawn(options)
      defer { process.kill(SIGKILL) }
      let text = Outcome()
      let reader = PipeReader(loop: harness.loop, descriptor: process.standardOutput)
      reader.onReceive = { text.received.append(contentsOf: $0) }
      #expect(
        harness.until { text.text.contains("ACCEPT 127.0.0.1:") && text.text.hasSuffix("\n") })
      let digits = text.text.split(separator: "ACCEPT 127.0.0.1:").last!.prefix { $0.isNumber }
      let port = try #require(UInt16(digits))
      let socket = try harness.connect(.ipv4(host: "127.0.0.1", port: port))
      let client = try TLSSocket(
        socket, context: .client(trustFile: folder.file("localhost.pem")), host: "localhost")
      let back = Outcome()
      back.watch(client)
      client.startReceiving()
      client.send(Array("abc\n".utf8))
      #expect(harness.until { back.received.count >= 4 })
      #expect(back.text == "cba\n")
      client.close()
      reader.close()
    }
  }

  /// Runs a program until it has printed `expected` or ended; returns what it printed.
  private func run(
    _ harness: LoopHarness, _ words: [String], input: String, until expected: String
  ) throws -> String {
    var options = SpawnOptions(executable: "/usr/bin/env", arguments: words)
    options.standardInput = .pipe
    options.standardOutput = .pipe
    let process = try harness.loop.spawn(options)
    let printed = Outcome()
    let reader = PipeReader(loop: harness.loop, descriptor: process.standardOutput)
    reader.onReceive = { printed.received.append(contentsOf: $0) }
    reader.onEnd = { printed.ends.append($0) }
    let writer = PipeWriter(loop: harness.loop, descriptor: process.standardInput)
    writer.send(Array(input.utf8))
    #expect(
      harness.until {
        printed.text.contains(expected) || !printed.ends.isEmpty
      })
    writer.close()
    process.kill(SIGKILL)
    #expect(harness.until { process.exitStatus != nil })
    reader.close()
    return printed.text
  }
}

extension Outcome {
  var text: String { String(decoding: received, as: UTF8.self) }
}

/// An echo server over TLS.
private final class SecureEcho {
  private var listener: Listener!
  private var sockets: [TLSSocket] = []

  init(_ loop: EventLoop, _ folder: CertificateFolder) throws {
    let context = try TLSContext.server(
      certificateFile: folder.file("localhost.pem"), keyFile: folder.file("localhost.key"))
    listener = try loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { [unowned self] socket in
      guard let tls = try? TLSSocket(socket, context: context) else { return socket.close() }
      sockets.append(tls)
      tls.onReceive = { [unowned tls] in tls.send($0) }
      tls.onEnd = { [unowned tls] _ in tls.closeAfterSending() }
      tls.startReceiving()
    }
  }

  var address: SocketAddress { listener.address }

  func close() {
    listener.close()
    for socket in sockets { socket.close() }
  }
}
