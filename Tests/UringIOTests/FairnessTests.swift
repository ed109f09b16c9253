// Contract: no connection and no timer waits behind one that floods, on both back-ends: counted in
// bytes of the flood that are delivered between a small message's arrival and its delivery.
import Base
import Glibc
import Synchronization
import TestSupport
import Testing
import UringIO

@Suite struct FairnessTests {
  /// What one connection may deliver before everybody else has had a turn: twice what the pool of
  /// receive buffers holds, for what was on its way already.
  private static let floodBytesMax =
    2 * EventLoopOptions().receiveBuffers * EventLoopOptions().receiveBufferBytes

  @Test(arguments: IOKind.allCases)
  func smallMessagesPassAFlood(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let flood = try Flood(harness.loop)
      var flooded = 0
      flood.socket.onReceive = { flooded += $0.count }
      flood.socket.startReceiving()
      let pairs = try (0..<8).map { _ in try SocketPair(harness.loop) }
      var worst = 0
      var delivered = 0
      var sentAt = 0
      for pair in pairs {
        pair.socket.onReceive = { _ in
          delivered += 1
          worst = max(worst, flooded - sentAt)
        }
        pair.socket.startReceiving()
      }
      #expect(harness.until { flooded > 1 << 20 })
      for round in 1...100 {
        sentAt = flooded
        for pair in pairs { pair.put([1]) }
        #expect(harness.until { delivered == 8 * round })
      }
      #expect(worst <= Self.floodBytesMax)
      flood.stop()
      for pair in pairs { pair.close() }
    }
  }

  @Test(arguments: IOKind.allCases)
  func timersPassAFlood(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let flood = try Flood(harness.loop)
      var flooded = 0
      flood.socket.onReceive = { flooded += $0.count }
      flood.socket.startReceiving()
      #expect(harness.until { flooded > 1 << 20 })
      var worst = 0
      var ran = 0
      for round in 1...100 {
        let start = flooded
        harness.loop.schedule(after: .zero) {
          ran += 1
          worst = max(worst, flooded - start)
        }
        #expect(harness.until { ran == round })
      }
      #expect(worst <= Self.floodBytesMax)
      flood.stop()
    }
  }

  @Test(arguments: IOKind.allCases)
  func timersAndMessagesPassAnAcceptStorm(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var accepted = 0
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) {
        accepted += 1
        $0.close()
      }
      let pair = try SocketPair(harness.loop)
      var seen: [Int] = []
      pair.socket.onReceive = { _ in seen.append(accepted) }
      pair.socket.startReceiving()
      harness.loop.runOnce()
      let clients = (0..<300).map { _ in connectBlocking(to: listener.address) }
      pair.put([1])
      harness.loop.schedule(after: .zero) { seen.append(accepted) }
      #expect(harness.until { seen.count == 2 && accepted == 300 })
      // Both before most of the storm.
      #expect(seen.allSatisfy { $0 <= 150 }, "\(seen)")
      for client in clients { close(client) }
      pair.close()
      listener.close()
    }
  }

  /// More than there are receive buffers, each with more waiting than one turn delivers.
  @Test(arguments: IOKind.allCases)
  func connectionsThatAllFloodGetEqualShares(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let pairs = try (0..<96).map { _ in try SocketPair(harness.loop) }
      var delivered = [Int](repeating: 0, count: pairs.count)
      for (index, pair) in pairs.enumerated() {
        pair.socket.onReceive = { delivered[index] += $0.count }
        pair.socket.startReceiving()
      }
      let wanted = 64 << 20
      while delivered.reduce(0, +) < wanted {
        for pair in pairs { pair.offer(1 << 18) }
        harness.loop.runOnce()
      }
      #expect(delivered.min()! >= wanted / pairs.count / 3, "\(delivered)")
      for pair in pairs { pair.close() }
    }
  }
}

/// A connection whose other end is written to by a thread, as fast as it goes.
private final class Flood {
  let socket: Socket
  private let control = Control()
  private let listener: Listener

  private final class Control: Sendable {
    let isStopped = Atomic<Bool>(false)
  }

  init(_ loop: EventLoop) throws {
    var accepted: Socket?
    listener = try loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { accepted = $0 }
    let client = connectBlocking(to: listener.address)
    #expect(loop.runUntil({ accepted != nil }, deadline: LoopHarness.deadline))
    socket = try #require(accepted)
    let control = control
    startThread {
      let bytes = [UInt8](repeating: 7, count: 1 << 20)
      while !control.isStopped.load(ordering: .relaxed) {
        if Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) < 0 { break }
      }
      close(client)
    }
  }

  func stop() {
    control.isStopped.store(true, ordering: .relaxed)
    socket.close()
    listener.close()
  }
}
