import Base
import Glibc
import TestSupport
import Testing
import UringIO

/// Where the tests find the program of OpenSSL: state machine, records and sockets are its own.
let opensslProgram = "/usr/bin/openssl"

/// A directory with PEM files, removed in the end.
final class CertificateFolder {
  let path: String
  private static let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

  init() throws {
    path = "/tmp/kfm-tls-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try #require(mkdir(path, 0o700) == 0)
  }

  deinit {
    for name in names { unlink(file(name)) }
    rmdir(path)
  }

  private var names: [String] = []

  func file(_ name: String) -> String { "\(path)/\(name)" }

  /// A certificate that has signed itself, for `name`: `NAME.pem` and `NAME.key`.
  func make(_ harness: LoopHarness, _ name: String, isExpired: Bool = false) throws {
    names += ["\(name).pem", "\(name).key"]
    let common =
      Self.curve + [
        "-keyout", file("\(name).key"), "-subj", "/CN=\(name)", "-addext",
        "subjectAltName=DNS:\(name),IP:127.0.0.1", "-out",
      ]
    guard isExpired else {
      return try openssl(
        harness, ["req", "-x509", "-days", "2"] + common + [file("\(name).pem")])
    }
    names.append("\(name).request")
    try openssl(harness, ["req", "-new"] + common + [file("\(name).request")])
    try openssl(
      harness,
      [
        "x509", "-req", "-in", file("\(name).request"), "-signkey", file("\(name).key"), "-days",
        "-1", "-copy_extensions", "copy", "-out", file("\(name).pem"),
      ])
  }

  func write(_ name: String, _ text: String) {
    names.append(name)
    let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let bytes = Array(text.utf8)
    #expect(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    Glibc.close(descriptor)
  }

  private func openssl(_ harness: LoopHarness, _ arguments: [String]) throws {
    let process = try harness.loop.spawn(
      SpawnOptions(executable: opensslProgram, arguments: arguments))
    #expect(harness.until { process.exitStatus != nil })
    try #require(process.exitStatus == .exited(0))
  }
}

/// What came of a secured connection.
final class Outcome {
  var received: [UInt8] = []
  var ends: [SocketEnd] = []
  var isSecured = false
  var isClosed = false

  func watch(_ tls: TLSSocket) {
    tls.onReceive = { [self] in received.append(contentsOf: $0) }
    tls.onEnd = { [self] in ends.append($0) }
    tls.onSecured = { [self] in isSecured = true }
    tls.onClosed = { [self] in isClosed = true }
  }
}

/// Passes bytes between two plain sockets in pieces of so many, and can stop in the middle.
final class Splitter {
  private let sockets: [Socket]
  private(set) var passed = 0

  /// `limit` ends the connection, without a word of TLS, after so many bytes from the first to the
  /// second.
  init(_ first: Socket, _ second: Socket, piece: Int, limit: Int = .max) {
    sockets = [first, second]
    connect(first, second, piece: piece, limit: limit)
    connect(second, first, piece: piece, limit: .max)
    for socket in sockets { socket.startReceiving() }
  }

  private func connect(_ from: Socket, _ to: Socket, piece: Int, limit: Int) {
    var left = limit
    from.onReceive = { [self] bytes in
      let count = min(bytes.count, left)
      left -= count
      passed += count
      send(Array(bytes[..<count]), to, piece: piece)
      if left == 0 { to.shutdownWrite() }
    }
    from.onEnd = { _ in to.shutdownWrite() }
  }

  private func send(_ bytes: [UInt8], _ to: Socket, piece: Int) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(piece))
      rest = rest.dropFirst(piece)
      part.withUnsafeBytes { to.send($0) }
    }
  }

  func close() { for socket in sockets { socket.close() } }
}
