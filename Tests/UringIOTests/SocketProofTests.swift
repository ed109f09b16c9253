// Contract: peers that do not behave cost bounded memory and nobody else's time, and leave nothing
// behind: no lease, no slot, no descriptor. Counts only; `make bench-ring` shows the same against the
// real program at full size.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct SocketProofTests {
  @Test(arguments: IOKind.allCases)
  func everyByteThenTheEndForAHalfClosedSlowReader(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let server = try BoundedEcho(harness.loop)
      let client = try harness.connect(server.address)
      let total = 8 << 20
      let sent = (0..<total).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
      var received: [UInt8] = []
      received.reserveCapacity(total)
      var end: SocketEnd?
      client.onReceive = { bytes in
        received.append(contentsOf: bytes)
        client.pauseReceiving()
        harness.loop.schedule(after: Nanoseconds(50_000)) { client.resumeReceiving() }
      }
      client.onEnd = { end = $0 }
      client.startReceiving()
      client.send(sent)
      client.shutdownWrite()
      #expect(harness.until { end != nil })
      #expect(end == .peerClosed)
      #expect(received == sent)
      client.close()
      server.close()
    }
  }

  @Test(arguments: IOKind.allCases)
  func whoDoesNotReadItsAnswersIsHeldBack(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let server = try BoundedEcho(harness.loop)
      let flood = try harness.connect(server.address)
      let other = try harness.connect(server.address)
      let held = harness.loop.blocks.heldBytes
      // Adopted as they are: the client's own queue takes no blocks.
      let chunk = [UInt8](repeating: 1, count: 1 << 20)
      for _ in 0..<64 { flood.send(chunk) }
      var echoed = 0
      other.onReceive = { echoed += $0.count }
      other.startReceiving()
      for round in 1...100 {
        other.send([UInt8(truncatingIfNeeded: round)])
        #expect(harness.until { echoed == round })
      }
      for _ in 0..<200 { harness.loop.runOnce() }
      #expect(flood.queuedBytes > 32 << 20)
      #expect(harness.loop.blocks.heldBytes - held <= 4 << 20)
      flood.close()
      other.close()
      #expect(harness.until { server.connections == 0 })
      server.close()
    }
  }

  @Test(arguments: IOKind.allCases)
  func resetsInMidSendLeaveNothing(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let server = try BoundedEcho(harness.loop)
      let first = try harness.connect(server.address)
      first.close()
      #expect(harness.until { server.connections == 0 })
      let held = harness.loop.blocks.held
      let operations = harness.loop.operationsInFlight
      for round in 0..<200 {
        let client = try harness.connect(server.address)
        #expect(harness.until { server.connections == 1 })
        client.send([UInt8](repeating: 2, count: 1 << 20))
        for _ in 0..<(round % 5) { harness.loop.runOnce() }
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
          client.descriptor, SOL_SOCKET, SO_LINGER, &option,
          socklen_t(MemoryLayout<linger>.size))
        client.close()
        #expect(harness.until { server.connections == 0 })
      }
      #expect(harness.until { harness.loop.operationsInFlight == operations })
      #expect(harness.loop.blocks.held == held)
      server.close()
    }
  }

  @Test(arguments: IOKind.allCases)
  func aLeaseKeepsTheBytes(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let pair = try SocketPair(harness.loop)
      let keeper = Keeper()
      let held = harness.loop.blocks.held
      pair.socket.onReceive = { keeper.keep($0, harness.loop) }
      pair.socket.startReceiving()
      // More often than there are buffers: a buffer that was given back too soon is overwritten.
      for round in 0..<200 {
        pair.put([UInt8](repeating: UInt8(round), count: 100))
        #expect(harness.until { keeper.count == round + 1 })
      }
      #expect(keeper.first == [UInt8](repeating: 0, count: 100))
      #expect(harness.loop.blocks.held == held + 1)
      keeper.drop()
      #expect(harness.loop.blocks.held == held)
      let outside = [UInt8](repeating: 0, count: 10)
      let isLent = outside.withUnsafeBytes { hasLease($0, harness.loop) }
      #expect(!isLent)
      pair.close()
    }
  }
}

/// Keeps a lease on the first bytes it is given.
private final class Keeper {
  private var lease: BufferLease?
  private var bytes: UnsafeRawBufferPointer?
  private(set) var count = 0

  func keep(_ bytes: UnsafeRawBufferPointer, _ loop: EventLoop) {
    count += 1
    guard count == 1 else { return }
    self.bytes = bytes
    lease = loop.lease(bytes)
  }

  var first: [UInt8]? { bytes.map { Array($0) } }

  func drop() {
    bytes = nil
    lease = nil
  }
}

private func hasLease(_ bytes: UnsafeRawBufferPointer, _ loop: EventLoop) -> Bool {
  switch loop.lease(bytes) {
  case .none: false
  case .some: true
  }
}

/// An echo server that reads no more from a peer than it can send back to it.
final class BoundedEcho {
  private var listener: Listener!
  private(set) var connections = 0
  private static let queuedBytesMax = 65_536

  init(_ loop: EventLoop) throws {
    listener = try loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { [unowned self] socket in
      connections += 1
      socket.lowWaterBytes = Self.queuedBytesMax / 2
      // Its callbacks own a socket until it closes: one that is paused belongs to nobody else.
      socket.onReceive = { bytes in
        socket.send(bytes)
        if socket.queuedBytes >= Self.queuedBytesMax { socket.pauseReceiving() }
      }
      socket.onDrained = { socket.resumeReceiving() }
      socket.onEnd = { end in
        if end == .peerClosed { socket.closeAfterSending() } else { socket.close() }
      }
      socket.onClosed = { [unowned self] in connections -= 1 }
      socket.startReceiving()
    }
  }

  var address: SocketAddress { listener.address }

  func close() { listener.close() }
}
