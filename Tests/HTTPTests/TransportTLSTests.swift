import Base
import Glibc
import HTTP
import TestSupport
import Testing
import UringIO

// Contract: https is asked only of servers whose certificate is trusted and fits their name, and
// streams like http. The server is OpenSSL's own test server; without the `openssl` program there
// is nothing to show.

private let openssl = "/usr/bin/openssl"

/// `openssl s_server` with a certificate of its own for `localhost`.
private final class TLSServer {
  let folder: String
  let port: UInt16
  private let process: ChildProcess
  private let output: Int32

  init(_ harness: LoopHarness) throws {
    folder = "/tmp/kfm-tls-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    #expect(mkdir(folder, 0o700) == 0)
    let maker = try harness.loop.spawn(
      SpawnOptions(
        executable: openssl,
        arguments: [
          "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
          "-keyout", folder + "/key.pem", "-out", folder + "/cert.pem", "-days", "2", "-subj",
          "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        ]))
    #expect(harness.until { maker.exitStatus != nil })
    var options = SpawnOptions(
      executable: openssl,
      arguments: [
        "s_server", "-accept", "127.0.0.1:0", "-key", folder + "/key.pem", "-cert",
        folder + "/cert.pem", "-www",
      ])
    options.standardOutput = .pipe
    process = try harness.loop.spawn(options)
    output = process.standardOutput
    port = try #require(Self.readPort(harness, output))
  }

  deinit {
    process.kill(SIGKILL)
    close(output)
    for name in ["/key.pem", "/cert.pem"] { unlink(folder + name) }
    rmdir(folder)
  }

  var certificateFile: String { folder + "/cert.pem" }

  /// Waits for the line `ACCEPT 127.0.0.1:PORT`.
  private static func readPort(_ harness: LoopHarness, _ descriptor: Int32) -> UInt16? {
    var text = ""
    let poll = harness.loop.poll(descriptor: descriptor, events: .readable) { _ in
      var buffer = [UInt8](repeating: 0, count: 512)
      let count = read(descriptor, &buffer, buffer.count)
      if count > 0 { text += String(decoding: buffer[..<count], as: UTF8.self) }
    }
    defer { poll.cancel() }
    let mark = "ACCEPT 127.0.0.1:"
    guard harness.until({ text.contains(mark) && text.hasSuffix("\n") }),
      let found = text.firstRange(of: mark)
    else { return nil }
    return UInt16(text[found.upperBound...].prefix { $0.isNumber })
  }
}

@Suite(.enabled(if: access(openssl, X_OK) == 0)) struct TransportTLSTests {
  @Test func trustedServersAnswer() throws {
    try LoopHarness.run { harness in
      let server = try TLSServer(harness)
      let transport = CurlTransport(
        loop: harness.loop, certificateFile: server.certificateFile)
      let exchange = Exchange(
        transport, HTTPClientRequest(url: "https://localhost:\(server.port)/"))
      #expect(harness.until { exchange.result != nil })
      #expect(exchange.isComplete)
      #expect(exchange.status == 200)
      #expect(exchange.text.contains("s_server"))
      // The certificate is for the name, not for the address.
      let address = Exchange(
        transport, HTTPClientRequest(url: "https://127.0.0.1:\(server.port)/"))
      #expect(harness.until { address.result != nil })
      guard case .untrusted? = address.failure else {
        Issue.record("\(String(describing: address.result))")
        return
      }
      transport.close()
    }
  }

  @Test func unknownCertificatesAreUntrusted() throws {
    try LoopHarness.run { harness in
      let server = try TLSServer(harness)
      let transport = NodeTransport(loop: harness.loop)
      let exchange = Exchange(
        transport, HTTPClientRequest(url: "https://localhost:\(server.port)/"))
      #expect(harness.until { exchange.result != nil })
      guard case .untrusted? = exchange.failure else {
        Issue.record("\(String(describing: exchange.result))")
        return
      }
      #expect(exchange.status == nil)
      transport.close()
    }
  }

  @Test func plainServersAreNoTLS() throws {
    try withServer { harness, server in
      let transport = NodeTransport(loop: harness.loop)
      let exchange = Exchange(transport, HTTPClientRequest(url: "https://\(server.address)/path"))
      #expect(harness.until { exchange.result != nil })
      guard case .untrusted? = exchange.failure else {
        Issue.record("\(String(describing: exchange.result))")
        return
      }
      let plain = Exchange(transport, HTTPClientRequest(url: server.url("/path")))
      #expect(harness.until { plain.isComplete })
      transport.close()
    }
  }
}
