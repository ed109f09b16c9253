// Contract: whatever is opened is closed again, on success, failure, cancellation and when the
// loop is closed over operations in flight. Counted in a process of its own: the descriptors of
// other tests would be counted with them.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct DescriptorTests {
  @Test(arguments: IOKind.allCases) func allDescriptorsAreClosedWhenAllIsClosed(io: IOKind) async {
    await #expect(processExitsWith: .success) { [io] in
      try leavesNothing(io) { try useEverything($0) }
    }
  }

  @Test(arguments: IOKind.allCases) func closingTheLoopClosesWhatIsInFlight(io: IOKind) async {
    await #expect(processExitsWith: .success) { [io] in
      try leavesNothing(io) { try abandonEverything($0) }
    }
  }
}

private func leavesNothing(_ io: IOKind, _ body: (LoopHarness) throws -> Void) throws {
  // The runtime of the tests opens descriptors of its own when it likes, each of them once. What
  // the loop leaves open, it leaves open every time.
  for _ in 0..<3 {
    let before = openDescriptors()
    for _ in 0..<3 { try LoopHarness.run(io, body) }
    let left = openDescriptors().subtracting(before)
    if left.isEmpty { return }
    print("left open: \(left.map(descriptorTarget))")
  }
  exit(2)
}

/// What a descriptor stands for, for the report.
private func descriptorTarget(_ descriptor: Int32) -> String {
  var target = [CChar](repeating: 0, count: 256)
  readlink("/proc/self/fd/\(descriptor)", &target, 255)
  return target.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

private func useEverything(_ harness: LoopHarness) throws {
  let loop = harness.loop
  for address in [
    SocketAddress.ipv4(host: "127.0.0.1", port: 0), .unix(path: "/tmp/kfm-fd-\(getpid())"),
  ] {
    let server = try EchoServer(loop, address)
    let client = try harness.connect(server.listener.address)
    var isEnded = false
    client.onEnd = { _ in isEnded = true }
    client.startReceiving()
    client.send([1, 2, 3])
    client.shutdownWrite()
    guard harness.until({ isEnded }) else { exit(3) }
    client.close()
    server.listener.close()
  }
  var failures = 0
  loop.connect(to: .ipv4(host: "127.0.0.1", port: 1), timeout: LoopHarness.deadline) { _ in
    failures += 1
  }
  loop.connect(to: .unix(path: "/tmp/kfm-none"), timeout: LoopHarness.deadline) { _ in failures += 1
  }
  loop.connect(to: .ipv4(host: "x", port: 1), timeout: LoopHarness.deadline) { _ in failures += 1 }
  guard harness.until({ failures == 3 }) else { exit(4) }
  let file = try loop.openFile(path: "/dev/null", flags: O_RDWR, mode: 0)
  var isWritten = false
  file.write(at: 0, [1]) { _ in isWritten = true }
  file.close()
  var options = shell("cat")
  options.standardInput = .pipe
  options.standardOutput = .pipe
  let child = try loop.spawn(options)
  PipeWriter(loop: loop, descriptor: child.standardInput).closeAfterSending()
  close(child.standardOutput)
  options.executable = "/none/such"
  _ = try? loop.spawn(options)
  guard harness.until({ child.exitStatus != nil && isWritten }) else { exit(5) }
}

/// Leaves an accept, a connect, receives, blocked sends, a poll, a timer, a child and signals.
private func abandonEverything(_ harness: LoopHarness) throws {
  let loop = harness.loop
  var accepted: Socket?
  let listener = try loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { socket in
    accepted = socket
    socket.startReceiving()
    socket.send([UInt8](repeating: 1, count: 16 << 20))
  }
  let client = try harness.connect(listener.address)
  guard harness.until({ accepted != nil }) else { exit(3) }
  client.send([UInt8](repeating: 1, count: 16 << 20))
  accepted?.pauseReceiving()
  let path = "/tmp/kfm-fd-full-\(getpid())"
  let full = try FullListener(path: path)
  loop.connect(to: .unix(path: path), timeout: .seconds(100)) { _ in exit(4) }
  loop.schedule(after: .seconds(100)) { exit(5) }
  _ = try loop.spawn(shell("sleep 100"))
  try loop.signals([SIGUSR1]) { _ in exit(6) }
  for _ in 0..<3 { loop.runOnce() }
  accepted = nil
  // Until here its backlog stays full, and the connect waits in the kernel.
  withExtendedLifetime(full) {}
}
