// Contract: what a completed write and sync report is on disk, reads fill their buffer up to the
// end of the file, and a full disk is a typed error that leaves the file readable.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct FileTests {
  @Test(arguments: IOKind.allCases) func appendSyncAndReadBack(io: IOKind) throws {
    let seed = testSeed()
    var random = SplitMix64(seed: seed)
    try withFile(io) { harness, file in
      var expected: [UInt8] = []
      for round in 0..<50 {
        let bytes = (0..<Int.random(in: 1...60_000, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        let offset = UInt64(expected.count)
        expected += bytes
        var isDurable = false
        let pieces = split(bytes, into: round % 4 + 1)
        let written: (Result<Void, IOFailure>) -> Void = { result in
          expectSuccess(result)
          file.dataSync {
            expectSuccess($0)
            isDurable = true
          }
        }
        if round % 2 == 0 {
          file.write(at: offset, bytes, completion: written)
        } else {
          file.write(at: offset, pieces.buffers, completion: written)
        }
        #expect(harness.until { isDurable })
        pieces.free()
      }
      try #expect(file.size == UInt64(expected.count))
      try #expect(harness.contents(of: file) == expected, "seed \(seed)")
    }
  }

  @Test(arguments: IOKind.allCases) func aReadStopsAtTheEndOfTheFile(io: IOKind) throws {
    try withFile(io) { harness, file in
      var isWritten = false
      file.write(at: 0, [1, 2, 3]) { _ in isWritten = true }
      #expect(harness.until { isWritten })
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
      defer { buffer.deallocate() }
      for (offset, count) in [(0, 3), (1, 2), (3, 0), (100, 0)] {
        var result: Result<Int, IOFailure>?
        file.read(at: UInt64(offset), into: buffer) { result = $0 }
        #expect(harness.until { result != nil })
        #expect(result == .success(count))
      }
    }
  }

  /// Memory that is registered makes no other difference: whole, in part, after it is unregistered.
  @Test(arguments: IOKind.allCases) func registeredMemoryIsWrittenAsOtherIs(io: IOKind) throws {
    try withFile(io) { harness, file in
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 4_096)
      defer { memory.deallocate() }
      for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index &* 31) }
      let bytes = UnsafeRawBufferPointer(memory)
      let isRegistered = harness.loop.register(bytes)
      if io == .epoll { #expect(!isRegistered) }
      var expected: [UInt8] = []
      for (round, range) in [0..<65_536, 4_096..<8_192, 60_000..<65_536, 1..<2].enumerated() {
        if round == 3, isRegistered { harness.loop.unregister(bytes) }
        let piece = UnsafeRawBufferPointer(rebasing: bytes[range])
        var result: Result<Void, IOFailure>?
        file.writeAndSync(at: UInt64(expected.count), [piece]) { result = $0 }
        #expect(harness.until { result != nil })
        expectSuccess(try #require(result))
        expected += piece
      }
      try #expect(harness.contents(of: file) == expected)
    }
  }

  @Test(arguments: IOKind.allCases) func writeAndSyncIsOneCompletion(io: IOKind) throws {
    try withFile(io) { harness, file in
      let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
      let pieces = split(bytes, into: 7)
      defer { pieces.free() }
      var results: [Result<Void, IOFailure>] = []
      file.writeAndSync(at: 0, pieces.buffers) { results.append($0) }
      #expect(harness.until { !results.isEmpty })
      results.forEach(expectSuccess)
      try #expect(harness.contents(of: file) == bytes)
    }
  }

  @Test(arguments: IOKind.allCases) func moreBuffersThanOneSystemCallTakes(io: IOKind) throws {
    try withFile(io) { harness, file in
      let bytes = (0..<5_000).map { UInt8(truncatingIfNeeded: $0) }
      let pieces = split(bytes, into: 2_500)
      defer { pieces.free() }
      var results: [Result<Void, IOFailure>] = []
      file.write(at: 0, pieces.buffers) { results.append($0) }
      #expect(harness.until { !results.isEmpty })
      file.writeAndSync(at: 5_000, pieces.buffers) { results.append($0) }
      #expect(harness.until { results.count == 2 })
      results.forEach(expectSuccess)
      try #expect(harness.contents(of: file) == bytes + bytes)
    }
  }

  @Test(arguments: IOKind.allCases) func aFullDeviceIsATypedError(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let file = try harness.loop.openFile(path: "/dev/full", flags: O_WRONLY, mode: 0)
      for durable in [false, true] {
        var failure: IOFailure?
        let completion: (Result<Void, IOFailure>) -> Void = {
          if case .failure(let found) = $0 { failure = found }
        }
        [UInt8](repeating: 1, count: 10).withUnsafeBytes { bytes in
          if durable {
            file.writeAndSync(at: 0, [bytes], completion: completion)
          } else {
            file.write(at: 0, [bytes], completion: completion)
          }
          #expect(harness.until { failure != nil })
        }
        #expect(failure?.isDiskFull == true)
        #expect(failure?.description == "write /dev/full: No space left on device")
      }
      file.close()
    }
  }

  @Test(arguments: IOKind.allCases) func aShortWriteIsFinishedOrReported(io: IOKind) async throws {
    // The file size limit cuts a write short at its border; SIGXFSZ would end the process, so
    // this runs in one of its own.
    await #expect(processExitsWith: .success) { [io] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 10_000, rlim_max: 10_000)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      try LoopHarness.run(io) { harness in
        let path = "/tmp/kfm-limit-\(getpid())"
        let file = try harness.loop.openFile(path: path, flags: O_RDWR | O_CREAT, mode: 0o600)
        unlink(path)
        for durable in [false, true] {
          var results: [Result<Void, IOFailure>] = []
          let bytes = [UInt8](repeating: 5, count: 16_000)
          bytes.withUnsafeBytes { bytes in
            if durable {
              file.writeAndSync(at: 0, [bytes]) { results.append($0) }
            } else {
              file.write(at: 0, [bytes]) { results.append($0) }
            }
            guard harness.until({ !results.isEmpty }) else { exit(2) }
          }
          guard case .failure(let failure) = results[0], failure.code == EFBIG else { exit(3) }
          guard failure.isDiskFull, try file.size == 10_000 else { exit(4) }
          guard try harness.contents(of: file).allSatisfy({ $0 == 5 }) else { exit(5) }
        }
        file.close()
      }
    }
  }

  @Test(arguments: IOKind.allCases) func openingSaysWhichFile(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      #expect {
        _ = try harness.loop.openFile(path: "/none/such", flags: O_RDONLY, mode: 0)
      } throws: { "\($0)" == "open /none/such: No such file or directory" }
    }
  }

  @Test(arguments: IOKind.allCases) func allocateMakesRoom(io: IOKind) throws {
    try withFile(io) { harness, file in
      try file.allocate(size: 1 << 20)
      try #expect(file.size == 1 << 20)
      try file.truncate(to: 10)
      try #expect(file.size == 10)
    }
  }

  @Test(arguments: IOKind.allCases) func closeWaitsForOperationsInFlight(io: IOKind) throws {
    try withFile(io) { harness, file in
      var results: [Result<Void, IOFailure>] = []
      for index in 0..<20 {
        file.write(at: UInt64(index) * 1_000, [UInt8](repeating: 1, count: 1_000)) {
          results.append($0)
        }
      }
      file.close()
      #expect(harness.until { results.count == 20 })
      results.forEach(expectSuccess)
    }
  }

  private func withFile(_ io: IOKind, _ body: (LoopHarness, File) throws -> Void) throws {
    try LoopHarness.run(io) { harness in
      let path = "/tmp/kfm-file-\(UInt64.random(in: 0 ... .max))"
      let file = try harness.loop.openFile(
        path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
      unlink(path)
      try body(harness, file)
      file.close()
    }
  }
}

extension LoopHarness {
  func contents(of file: File) throws -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(try file.size) + 1, alignment: 8)
    defer { buffer.deallocate() }
    var result: Result<Int, IOFailure>?
    file.read(at: 0, into: buffer) { result = $0 }
    #expect(until { result != nil })
    return Array(buffer[..<(try #require(result).get())])
  }
}

private func expectSuccess(_ result: Result<Void, IOFailure>) {
  if case .failure(let failure) = result { Issue.record("\(failure)") }
}

/// Buffers of the caller's own, as the log's batches are.
private struct Pieces {
  var buffers: [UnsafeRawBufferPointer]
  func free() { for buffer in buffers { buffer.deallocate() } }
}

private func split(_ bytes: [UInt8], into count: Int) -> Pieces {
  let size = max(1, (bytes.count + count - 1) / count)
  let buffers = stride(from: 0, to: bytes.count, by: size).map { start in
    let piece = bytes[start..<min(bytes.count, start + size)]
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
    copy.copyBytes(from: piece)
    return UnsafeRawBufferPointer(copy)
  }
  return Pieces(buffers: buffers)
}
