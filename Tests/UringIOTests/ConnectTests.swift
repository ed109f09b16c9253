// Contract: connecting succeeds, fails with the kernel's reason, times out or is cancelled; each
// calls its completion once or never. Addresses are read strictly.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct ConnectTests {
  @Test(arguments: IOKind.allCases) func aRefusedConnectionSaysSo(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let taken = TakenPort()
      let address = SocketAddress.ipv4(host: "127.0.0.1", port: taken.port)
      let failure = try #require(harness.failure(of: address))
      #expect(failure.isConnectionRefused)
      #expect(failure.description == "connect \(address): Connection refused")
    }
  }

  @Test(arguments: IOKind.allCases) func aMissingSocketFileSaysSo(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let failure = harness.failure(of: .unix(path: "/tmp/kfm-none-such"))
      #expect(failure?.isNotFound == true)
    }
  }

  /// A unix listener whose backlog is full: the next connection waits for ever.
  @Test(arguments: IOKind.allCases)
  func aConnectionThatWaitsTimesOut(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let path = "/tmp/kfm-\(UInt64.random(in: 0 ... .max)).sock"
      let busy = try FullListener(path: path)
      let before = harness.loop.operationsInFlight
      var results: [Result<Socket, IOFailure>] = []
      let attempt = harness.loop.connect(to: .unix(path: path), timeout: .milliseconds(30)) {
        results.append($0)
      }
      #expect(harness.until { !results.isEmpty && harness.loop.operationsInFlight == before })
      #expect(results.count == 1)
      guard case .failure(let failure) = try #require(results.first) else {
        Issue.record("connected")
        return
      }
      #expect(failure.isTimeout)
      attempt.cancel()
      busy.close()
    }
  }

  @Test(arguments: IOKind.allCases)
  func aConnectionThatWaitsIsCancelled(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let path = "/tmp/kfm-\(UInt64.random(in: 0 ... .max)).sock"
      let busy = try FullListener(path: path)
      let before = harness.loop.operationsInFlight
      let attempt = harness.loop.connect(to: .unix(path: path), timeout: LoopHarness.deadline) {
        _ in Issue.record("completed")
      }
      harness.loop.runOnce()
      attempt.cancel()
      #expect(harness.until { harness.loop.operationsInFlight == before })
      busy.close()
    }
  }

  @Test(arguments: IOKind.allCases) func longSocketPathsAreReachedThroughTheirDirectory(io: IOKind)
    throws
  {
    let directory = "/tmp/kfm-\(io)-" + String(repeating: "d", count: 200)
    mkdir(directory, 0o700)
    defer { rmdir(directory) }
    let path = directory + "/node.sock"
    try LoopHarness.run(io) { harness in
      let server = try EchoServer(harness.loop, .unix(path: path))
      var status = stat()
      #expect(stat(path, &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600)
      let client = try harness.connect(.unix(path: path))
      var received: [UInt8] = []
      client.onReceive = { received.append(contentsOf: $0) }
      client.startReceiving()
      client.send(Array("hello".utf8))
      #expect(harness.until { received == Array("hello".utf8) })
      client.close()
      server.listener.close()
      #expect(harness.until { access(path, F_OK) != 0 })
    }
  }

  @Test(arguments: IOKind.allCases) func aStaleSocketFileIsReplacedAndALiveOneIsNot(io: IOKind)
    throws
  {
    try LoopHarness.run(io) { harness in
      let path = "/tmp/kfm-\(UInt64.random(in: 0 ... .max)).sock"
      let stale = try FullListener(path: path)
      stale.close(unlinking: false)
      let listener = try harness.loop.listen(on: .unix(path: path)) { $0.close() }
      #expect {
        _ = try harness.loop.listen(on: .unix(path: path)) { _ in }
      } throws: { ($0 as? IOFailure)?.isAddressInUse == true }
      listener.close()
      #expect(harness.until { access(path, F_OK) != 0 })
    }
  }

  @Test(arguments: IOKind.allCases) func aTakenPortSaysSo(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { _ in }
      #expect(listener.address.port != 0)
      #expect {
        _ = try harness.loop.listen(on: listener.address) { _ in }
      } throws: { "\($0)" == "listen \(listener.address): Address already in use" }
      listener.close()
    }
  }

  @Test(arguments: [
    ("127.0.0.1:8080", SocketAddress.ipv4(host: "127.0.0.1", port: 8080)),
    ("0.0.0.0:0", .ipv4(host: "0.0.0.0", port: 0)),
    ("[::1]:65535", .ipv6(host: "::1", port: 65535)),
    ("unix:run/kfm.sock", .unix(path: "run/kfm.sock")),
    ("/run/kfm.sock", .unix(path: "/run/kfm.sock")),
  ])
  func addressesAreRead(text: String, address: SocketAddress) {
    #expect(SocketAddress(parsing: text) == address)
    #expect(SocketAddress(parsing: address.description) == address)
  }

  @Test(arguments: [
    "", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
    "127.0.0.1:8o", "localhost:80", "256.0.0.1:1", "::1:80", "[::1]", "[::1:80", "[]:80", "unix:",
    "[127.0.0.1]:80", "[::1%lo]:80", "127.0.0.1:99999999999999999999", "unix:a\0b",
  ])
  func otherTextIsNoAddress(text: String) {
    #expect(SocketAddress(parsing: text) == nil)
  }
}

extension LoopHarness {
  fileprivate func failure(of address: SocketAddress) -> IOFailure? {
    var failure: IOFailure?
    loop.connect(to: address, timeout: LoopHarness.deadline) { result in
      if case .failure(let found) = result { failure = found }
    }
    #expect(until { failure != nil })
    return failure
  }
}
