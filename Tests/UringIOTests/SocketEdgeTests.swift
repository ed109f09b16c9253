// Contract: how a socket ends. A half-close still delivers everything queued for the other side,
// back-pressure holds the peer back with bounded memory, closing is safe with operations in
// flight. (That no descriptor is left behind is in DescriptorTests.)
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct SocketEdgeTests {
  @Test(arguments: IOKind.allCases) func aHalfClosedPeerStillGetsEveryByte(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      let answer = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
      var received: [UInt8] = []
      var clientEnd: SocketEnd?
      client.onReceive = { received.append(contentsOf: $0) }
      client.onEnd = { clientEnd = $0 }
      client.startReceiving()
      server.onEnd = { end in
        #expect(end == .peerClosed)
        server.send(answer)
        server.closeAfterSending()
      }
      server.startReceiving()
      client.shutdownWrite()
      #expect(harness.until { clientEnd != nil })
      #expect(clientEnd == .peerClosed)
      #expect(received == answer)
    }
  }

  @Test(arguments: IOKind.allCases) func closeAfterSendingDeliversAlthoughTheRequestIsUnread(
    io: IOKind
  ) throws {
    // Closing with unread bytes would reset the connection and destroy the answer.
    try withPair(io) { harness, client, server in
      var received = 0
      var clientEnd: SocketEnd?
      var isRequestSent = false
      client.onReceive = { received += $0.count }
      client.onEnd = { clientEnd = $0 }
      client.onDrained = { isRequestSent = true }
      client.startReceiving()
      client.send([UInt8](repeating: 1, count: 10_000_000))
      server.send([UInt8](repeating: 2, count: 100_000))
      var isClosed = false
      server.onClosed = { isClosed = true }
      server.closeAfterSending()
      #expect(harness.until { clientEnd != nil && isRequestSent })
      #expect(clientEnd == .peerClosed)
      #expect(received == 100_000)
      client.close()
      #expect(harness.until { isClosed })
    }
  }

  @Test(arguments: IOKind.allCases) func aPausedReceiverHoldsThePeerBack(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      let total = 32 << 20
      var received = 0
      var isEnded = false
      server.onReceive = { bytes in
        received += bytes.count
        server.pauseReceiving()
      }
      server.onEnd = { _ in isEnded = true }
      server.startReceiving()
      let chunk = [UInt8](repeating: 3, count: 1 << 20)
      for _ in 0..<32 { client.send(chunk) }
      client.shutdownWrite()
      #expect(harness.until { received > 0 })
      for _ in 0..<200 { harness.loop.runOnce() }
      // The kernel's buffers are full, the rest waits at the sender.
      #expect(received <= 2 << 20)
      #expect(client.queuedBytes > total / 4)
      server.onReceive = { received += $0.count }
      server.resumeReceiving()
      #expect(harness.until { isEnded })
      #expect(received == total)
    }
  }

  @Test(arguments: IOKind.allCases) func pauseAndResumeAtRandomKeepTheOrder(io: IOKind) throws {
    let seed = testSeed()
    var random = SplitMix64(seed: seed)
    try withPair(io) { harness, client, server in
      let sent = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 / 251) }
      var received: [UInt8] = []
      var isEnded = false
      server.onReceive = { bytes in
        received.append(contentsOf: bytes)
        switch Int.random(in: 0..<6, using: &random) {
        case 0:
          server.pauseReceiving()
          harness.loop.schedule(after: .zero) { server.resumeReceiving() }
        case 1:
          server.pauseReceiving()
          server.resumeReceiving()
        case 2:
          server.pauseReceiving()
          harness.loop.enqueue { server.resumeReceiving() }
        default: break
        }
      }
      server.onEnd = { _ in isEnded = true }
      server.startReceiving()
      var next = 0
      while next < sent.count {
        let count = min(sent.count - next, Int.random(in: 1...30_000, using: &random))
        client.send(Array(sent[next..<(next + count)]))
        next += count
        harness.loop.runOnce()
      }
      client.shutdownWrite()
      #expect(harness.until { isEnded }, "seed \(seed)")
      #expect(received == sent, "seed \(seed)")
    }
  }

  @Test(arguments: IOKind.allCases) func bytesHeldWhilePausedComeBeforeNewerOnes(io: IOKind) throws
  {
    // One socket resumes the other between two completions of the same batch. Where the kernel
    // does not defer its work, every write below puts one completion into the ring.
    var options = EventLoopOptions()
    options.bestMode = .cooperative
    try LoopHarness.run(io, options: options) { harness in
      let first = try SocketPair(harness.loop)
      let second = try SocketPair(harness.loop)
      var received: [UInt8] = []
      first.socket.onReceive = { bytes in
        if received.isEmpty { first.socket.pauseReceiving() }
        received.append(contentsOf: bytes)
      }
      second.socket.onReceive = { _ in first.socket.resumeReceiving() }
      first.socket.startReceiving()
      second.socket.startReceiving()
      harness.loop.runOnce()
      first.put([1])
      first.put([2])
      second.put([0])
      first.put([3])
      #expect(harness.until { received.count == 3 })
      #expect(received == [1, 2, 3])
      first.close()
      second.close()
    }
  }

  @Test(arguments: IOKind.allCases) func aClosedSocketNeverTouchesTheNextOneWithItsNumber(
    io: IOKind
  ) throws {
    try LoopHarness.run(io) { harness in
      for _ in 0..<20 {
        let old = try SocketPair(harness.loop)
        old.socket.onReceive = { _ in Issue.record("received after close") }
        old.socket.startReceiving()
        old.socket.send([9])
        // Nothing of it is submitted yet.
        old.close()
        let next = try SocketPair(harness.loop)
        next.put([1, 2, 3])
        for _ in 0..<3 { harness.loop.runOnce() }
        var received: [UInt8] = []
        next.socket.onReceive = { received.append(contentsOf: $0) }
        next.socket.startReceiving()
        #expect(harness.until { !received.isEmpty })
        #expect(received == [1, 2, 3])
        next.close()
      }
    }
  }

  @Test(arguments: IOKind.allCases) func drainedIsCalledWhenTheQueueRunsEmpty(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      var drained = 0
      client.onDrained = { drained += 1 }
      client.send([1])
      client.send([2])
      #expect(client.queuedBytes == 2)
      #expect(harness.until { drained == 1 })
      #expect(client.queuedBytes == 0)
      client.send([3])
      #expect(harness.until { drained == 2 })
      _ = server
    }
  }

  @Test(arguments: IOKind.allCases) func closingWithOperationsInFlightIsSafe(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var accepted: [Socket] = []
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) {
        accepted.append($0)
      }
      var closed = 0
      for round in 0..<50 {
        let client = try harness.connect(listener.address)
        #expect(harness.until { accepted.count == round + 1 })
        let server = accepted[round]
        for socket in [client, server] {
          socket.onReceive = { _ in Issue.record("received after close") }
          socket.onClosed = { closed += 1 }
          socket.startReceiving()
          socket.send([UInt8](repeating: 0, count: 4 << 20))
        }
        // In turn: before anything is submitted, and with both operations in the kernel.
        if round % 2 == 1 {
          client.onReceive = nil
          server.onReceive = nil
          harness.loop.runOnce()
        }
        client.close()
        server.close()
        client.close()
        client.send([1])
      }
      #expect(harness.until { closed == 100 })
      accepted = []
      listener.close()
    }
  }

  @Test(arguments: IOKind.allCases) func aResetPeerFailsTheSocketOnce(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      var ends: [SocketEnd] = []
      server.onEnd = { ends.append($0) }
      server.startReceiving()
      // Linger of zero: close sends a reset.
      var option = linger(l_onoff: 1, l_linger: 0)
      setsockopt(
        client.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
      client.close()
      #expect(harness.until { !ends.isEmpty })
      server.send([1, 2, 3])
      harness.loop.runOnce()
      harness.loop.runOnce()
      #expect(ends.count == 1)
      guard case .failed(let failure) = ends[0] else {
        Issue.record("\(ends)")
        return
      }
      #expect(failure.code == ECONNRESET)
    }
  }

  @Test(arguments: IOKind.allCases) func aPausedSocketLearnsThatItsPeerIsGone(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      var ends: [SocketEnd] = []
      server.onReceive = { _ in server.pauseReceiving() }
      server.onEnd = { ends.append($0) }
      server.startReceiving()
      client.send([1])
      var isLong = false
      harness.loop.schedule(after: .milliseconds(300)) { isLong = true }
      #expect(harness.until { isLong })
      var option = linger(l_onoff: 1, l_linger: 0)
      setsockopt(
        client.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
      client.close()
      #expect(harness.until { !ends.isEmpty })
      guard case .failed(let failure) = ends[0] else {
        Issue.record("\(ends)")
        return
      }
      #expect(failure.code == ECONNRESET)
      #expect(ends.count == 1)
    }
  }

  @Test(arguments: IOKind.allCases) func aPausedSocketLosesNothingWhenItsPeerEnds(io: IOKind) throws
  {
    try LoopHarness.run(io) { harness in
      let pair = try SocketPair(harness.loop)
      var received: [UInt8] = []
      var end: SocketEnd?
      pair.socket.onReceive = { received += $0 }
      pair.socket.onEnd = { end = $0 }
      pair.socket.pauseReceiving()
      pair.put([1, 2, 3])
      pair.closeOther()
      var isLong = false
      harness.loop.schedule(after: .milliseconds(300)) { isLong = true }
      #expect(harness.until { isLong })
      #expect(end == nil)
      pair.socket.resumeReceiving()
      #expect(harness.until { end == .peerClosed })
      #expect(received == [1, 2, 3])
      pair.socket.close()
    }
  }

  @Test(arguments: IOKind.allCases) func aFailureWhileSendingFollowsAHalfClose(io: IOKind) throws {
    try withPair(io) { harness, client, server in
      var ends: [SocketEnd] = []
      server.onEnd = { ends.append($0) }
      server.startReceiving()
      client.close()
      #expect(harness.until { ends == [.peerClosed] })
      // The first bytes meet a closed socket and come back as a reset, the next ones fail.
      #expect(
        harness.until {
          server.send([1])
          return ends.count == 2
        })
      guard case .failed = ends.last else {
        Issue.record("\(ends)")
        return
      }
    }
  }

  @Test(arguments: IOKind.allCases) func acceptRecoversWhenDescriptorsRunOut(io: IOKind)
    async throws
  {
    // The limit is the whole process's, so this runs in a process of its own.
    await #expect(processExitsWith: .success) { [io] in
      try LoopHarness.run(io) { harness in
        // Held, so that a descriptor some other thread gives back is soon used up as well.
        var accepted: [Socket] = []
        let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) {
          accepted.append($0)
        }
        // Clients that need no descriptor any more: they are connected by a blocking call.
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = listener.address.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let clients = (0..<5).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        // To be given back later. What is open may be the parent's, and more than is known here, so
        // the limit is the lowest number that is free: below it nothing is.
        let taken = (0..<16).map { _ in dup(0) }
        let free = dup(0)
        Glibc.close(free)
        var limit = rlimit(rlim_cur: rlim_t(free), rlim_max: rlim_t(free))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        for client in clients {
          let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
              Glibc.connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
          }
          guard result == 0 else { exit(2) }
        }
        let entersBefore = harness.loop.statistics.enters.value
        guard harness.until({ harness.loop.statistics.acceptPauses.value >= 4 }) else { exit(3) }
        // It rests in between.
        guard harness.loop.statistics.enters.value - entersBefore <= 100 else { exit(6) }
        guard accepted.count < 5 else { exit(4) }
        for descriptor in taken { Glibc.close(descriptor) }
        guard harness.until({ accepted.count >= 5 }) else { exit(50 + Int32(accepted.count)) }
        listener.close()
      }
    }
  }

  private func withPair(_ io: IOKind, _ body: (LoopHarness, Socket, Socket) throws -> Void) throws {
    try LoopHarness.run(io) { harness in
      var server: Socket?
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) {
        server = $0
      }
      let client = try harness.connect(listener.address)
      #expect(harness.until { server != nil })
      try body(harness, client, try #require(server))
      server?.close()
      client.close()
      listener.close()
    }
  }
}
