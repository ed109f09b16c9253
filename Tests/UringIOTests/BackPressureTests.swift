// Contract: what happens when something runs out or is cut short, on both back-ends: nothing is
// lost, nothing spins, everything goes on when there is room again. (Descriptors running out is in
// SocketEdgeTests, a full submission queue in LoopTests, buffers running out in SocketEdgeTests.)
// Not shown here: real disks that are slow.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct BackPressureTests {
  @Test(arguments: IOKind.allCases)
  func moreCompletionsThanTheQueueHolds(io: IOKind) throws {
    var options = EventLoopOptions()
    options.submissionEntries = 4
    options.completionEntries = 4
    try LoopHarness.run(io, options: options) { harness in
      let pairs = try (0..<100).map { _ in try SocketPair(harness.loop) }
      var received = 0
      for pair in pairs {
        pair.socket.onReceive = { received += $0.count }
        pair.socket.startReceiving()
      }
      for round in 1...5 {
        harness.loop.runOnce()
        for pair in pairs { pair.put([1]) }
        #expect(harness.until { received == 100 * round })
      }
      // It did overflow.
      if io == .uring { #expect(harness.loop.statistics.completionQueueFull.value > 0) }
      for pair in pairs { pair.close() }
    }
  }

  @Test(arguments: IOKind.allCases)
  func signalsInterruptAWaitAndNothingElse(io: IOKind) async {
    await #expect(processExitsWith: .success) { [io] in
      // Without SA_RESTART: every wait in the kernel ends with EINTR.
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in }
      sigaction(SIGUSR2, &action, nil)
      try LoopHarness.run(io) { harness in
        let loopThread = LoopThreadID(pthread_self())
        startThread {
          for _ in 0..<200 {
            pthread_kill(loopThread.value, SIGUSR2)
            usleep(500)
          }
        }
        let pair = try SocketPair(harness.loop)
        var received = 0
        pair.socket.onReceive = { received += $0.count }
        pair.socket.startReceiving()
        let start = harness.loop.clock.monotonic()
        var ended = Nanoseconds.zero
        harness.loop.schedule(after: .milliseconds(100)) {
          ended = harness.loop.clock.monotonic()
          pair.put([1])
        }
        guard harness.until({ received == 1 }) else { exit(2) }
        guard ended - start >= .milliseconds(100) else { exit(3) }
        pair.close()
      }
    }
  }

  @Test(arguments: IOKind.allCases)
  func aWriteCutShortAnywhereIsFinishedOrReported(io: IOKind) async {
    // The file size limit cuts writes at every place in turn, within and between their pieces.
    await #expect(processExitsWith: .success) { [io] in
      signal(SIGXFSZ, SIG_IGN)
      try LoopHarness.run(io) { harness in
        for cut in 0...64 {
          var limit = rlimit(rlim_cur: rlim_t(cut), rlim_max: .max)
          for syncs in [false, true] {
            let path = "/tmp/kfm-cut-\(io)-\(getpid())"
            let file = try harness.loop.openFile(path: path, flags: O_RDWR | O_CREAT, mode: 0o600)
            unlink(path)
            limit.rlim_cur = rlim_t(cut)
            guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
              exit(2)
            }
            let result = harness.write(fourPieces, to: file, syncs: syncs)
            limit.rlim_cur = .max
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            if cut == 64 {
              guard case .success = result else { exit(3) }
            } else {
              guard case .failure(let failure) = result, failure.isDiskFull else { exit(4) }
              guard failure.operation == "write" else { exit(5) }
            }
            guard try harness.contents(of: file) == Array((0..<64).prefix(cut)) else { exit(6) }
            file.close()
          }
        }
      }
    }
  }

  @Test(arguments: IOKind.allCases)
  func readsEndAtEveryPlaceOfAFile(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let path = "/tmp/kfm-read-\(UInt64.random(in: 0 ... .max))"
      let file = try harness.loop.openFile(path: path, flags: O_RDWR | O_CREAT, mode: 0o600)
      unlink(path)
      #expect(harness.write(fourPieces, to: file, syncs: false).map { true } == .success(true))
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 70, alignment: 8)
      defer { buffer.deallocate() }
      for offset in 0...65 {
        for length in [1, 7, 64, 70] {
          var result: Result<Int, IOFailure>?
          let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<length])
          file.read(at: UInt64(offset), into: part) { result = $0 }
          #expect(harness.until { result != nil })
          let expected = Array((0..<64).map(UInt8.init).dropFirst(offset).prefix(length))
          #expect(result == .success(expected.count))
          #expect(Array(buffer[..<expected.count]) == expected)
        }
      }
      file.close()
    }
  }

  @Test(arguments: IOKind.allCases)
  func aSendCutShortAnywhereGoesOn(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      for chunk in [1, 3, 61, 997, 4_099, 70_001] {
        let pair = try SocketPair(harness.loop)
        // As small as the kernel allows: every send is cut many times.
        var size: Int32 = 1
        setsockopt(pair.socket.descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4)
        let total = min(400_000, chunk * 2_000)
        let sent = (0..<total).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 251) }
        // Pieces of all kinds: copied, joined, adopted.
        var rest = sent[...]
        var next = 1
        while !rest.isEmpty {
          pair.socket.send(Array(rest.prefix(next)))
          rest = rest.dropFirst(next)
          next = next * 5 % 20_011
        }
        var received: [UInt8] = []
        // Without waiting: the kernel sends all of it without a word in between.
        let end = harness.loop.clock.monotonic() + LoopHarness.deadline
        while received.count < total, harness.loop.clock.monotonic() < end {
          harness.loop.runOnce()
          while true {
            let part = pair.get(chunk)
            if part.isEmpty { break }
            received += part
          }
        }
        let isSame = received == sent
        #expect(isSame)
        pair.close()
      }
    }
  }

  @Test(arguments: IOKind.allCases)
  func cancellingAConnectRacesItsCompletion(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var accepted: [Socket] = []
      let listener = try harness.loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) {
        accepted.append($0)
      }
      let before = harness.loop.operationsInFlight
      for round in 0..<200 {
        var isCancelled = false
        var connected: Socket?
        let attempt = harness.loop.connect(to: listener.address, timeout: LoopHarness.deadline) {
          result in
          #expect(!isCancelled)
          connected = try? result.get()
        }
        if round % 3 != 0 { harness.loop.runOnce() }
        attempt.cancel()
        isCancelled = true
        #expect(harness.until { harness.loop.operationsInFlight == before })
        connected?.close()
        for socket in accepted { socket.close() }
        accepted = []
      }
      listener.close()
    }
  }

  @Test(arguments: IOKind.allCases)
  func aDescriptorThatDoesNotBlockIsWaitedForAllTheSame(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let pair = try SocketPair(harness.loop)
      _ = fcntl(pair.socket.descriptor, F_SETFL, O_NONBLOCK)
      var received = 0
      pair.socket.onReceive = { received += $0.count }
      pair.socket.startReceiving()
      // More than the kernel takes at once.
      pair.socket.send([UInt8](repeating: 1, count: 4 << 20))
      var isLate = false
      harness.loop.schedule(after: .milliseconds(50)) { isLate = true }
      let before = harness.loop.statistics.enters.value
      #expect(harness.until { isLate })
      // It sleeps meanwhile: one that spins makes tens of thousands.
      #expect(harness.loop.statistics.enters.value - before <= 50)
      pair.put([1])
      pair.drop()
      #expect(
        harness.until {
          pair.drop()
          return received == 1
        })
      pair.close()
    }
  }

  @Test func jobsOfAClosedLoopAreDropped() throws {
    var continuation: UnsafeContinuation<Void, Never>?
    try LoopHarness.run { harness in
      harness.loop.startTask { _ in
        await withUnsafeContinuation { continuation = $0 }
        Issue.record("resumed on a closed loop")
      }
      #expect(harness.until { continuation != nil })
    }
    continuation?.resume()
  }
}

/// The numbers 0 to 63 in four pieces.
nonisolated(unsafe) private let fourPieces: [UnsafeRawBufferPointer] = [
  0..<1, 1..<20, 20..<21, 21..<64,
].map { range in
  let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 1)
  piece.copyBytes(from: range.map { UInt8($0) })
  return UnsafeRawBufferPointer(piece)
}

// Sendable because a thread's number may be used anywhere while it runs.
private struct LoopThreadID: @unchecked Sendable {
  let value: pthread_t

  init(_ value: pthread_t) { self.value = value }
}

extension LoopHarness {
  fileprivate func write(
    _ pieces: [UnsafeRawBufferPointer], to file: File, syncs: Bool
  ) -> Result<Void, IOFailure> {
    var result: Result<Void, IOFailure>?
    if syncs {
      file.writeAndSync(at: 0, pieces) { result = $0 }
    } else {
      file.write(at: 0, pieces) { result = $0 }
    }
    #expect(until { result != nil })
    return result ?? .success(())
  }
}
