// Contract: bytes sent over a socket arrive whole and in order however they are split, a
// half-close still delivers everything to the other side, back-pressure holds the peer back, and
// closing is safe at any time. What this cannot disprove: loss on real networks.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct SocketTests {
  struct Backend: Sendable {
    var io = IOKind.uring
    var mode = RingMode.deferred
    var hasPool = true
  }

  private static let backends = [
    Backend(), Backend(mode: .cooperative), Backend(mode: .plain, hasPool: false),
    Backend(io: .epoll), Backend(io: .epoll, hasPool: false),
  ]

  @Test(arguments: ["127.0.0.1:0", "[::1]:0", "unix"], backends)
  func echoOfRandomSplits(place: String, backend: Backend) throws {
    let seed = testSeed()
    var options = EventLoopOptions()
    options.bestMode = backend.mode
    // Kernels without the better modes have no buffer rings either.
    if !backend.hasPool { options.receiveBuffers = 0 }
    try LoopHarness.run(backend.io, options: options) { harness in
      #expect(harness.loop.io == backend.io)
      if let mode = harness.loop.mode { #expect(mode.rawValue >= backend.mode.rawValue) }
      let address = try #require(
        SocketAddress(
          parsing: place == "unix" ? "/tmp/kfm-\(UInt64.random(in: 0 ... .max)).sock" : place))
      let server = try EchoServer(harness.loop, address)
      var random = SplitMix64(seed: seed)
      let sent = (0..<300_000).map { _ in UInt8.random(in: 0...255, using: &random) }
      let client = try harness.connect(server.listener.address)
      var received: [UInt8] = []
      var isEnded = false
      client.onReceive = { received.append(contentsOf: $0) }
      client.onEnd = { isEnded = $0 == .peerClosed }
      client.startReceiving()
      var rest = sent[...]
      while !rest.isEmpty {
        let piece = rest.prefix(Int.random(in: 1...20_000, using: &random))
        rest = rest.dropFirst(piece.count)
        client.send(Array(piece))
        if Bool.random(using: &random) { harness.loop.runOnce() }
      }
      client.shutdownWrite()
      #expect(harness.until { isEnded }, "seed \(seed)")
      #expect(received == sent, "seed \(seed)")
      client.close()
      server.listener.close()
    }
  }
}
