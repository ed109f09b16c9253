// Contract: a child gets exactly the arguments, environment, directory and descriptors it was
// given; its end is reported once with its status; a step that fails in the child is reported by
// name; signals reach the loop.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct ProcessTests {
  @Test(arguments: IOKind.allCases) func aChildReportsItsExitStatus(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      for code: Int32 in [0, 1, 42, 255] {
        let child = try harness.loop.spawn(shell("exit \(code)"))
        var statuses: [UringIO.ExitStatus] = []
        child.onExit { statuses.append($0) }
        #expect(harness.until { !statuses.isEmpty })
        harness.loop.runOnce()
        #expect(statuses == [.exited(code)])
        #expect(child.exitStatus == .exited(code))
        child.kill(SIGKILL)
        var late: UringIO.ExitStatus?
        child.onExit { late = $0 }
        #expect(late == .exited(code))
      }
    }
  }

  @Test(arguments: IOKind.allCases) func aKilledGroupTakesItsGrandchildrenAlong(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var options = shell("sleep 100 & echo started; wait")
      options.standardOutput = .pipe
      let child = try harness.loop.spawn(options)
      let output = PipeReader(loop: harness.loop, descriptor: child.standardOutput)
      var text: [UInt8] = []
      var outputEnd: SocketEnd?
      output.onReceive = { text.append(contentsOf: $0) }
      output.onEnd = { outputEnd = $0 }
      #expect(harness.until { !text.isEmpty })
      var status: UringIO.ExitStatus?
      child.onExit { status = $0 }
      child.kill(SIGTERM, group: true)
      // The pipe ends only when the grandchild, which holds it too, is gone.
      #expect(harness.until { status != nil && outputEnd != nil })
      #expect(status == .signaled(SIGTERM))
      #expect(outputEnd == .peerClosed)
      output.close()
    }
  }

  @Test(arguments: IOKind.allCases) func pipesCarryEverythingBothWays(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      let sent = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 256) }
      var options = shell("cat; echo problem >&2")
      options.standardInput = .pipe
      options.standardOutput = .pipe
      options.standardError = .pipe
      let child = try harness.loop.spawn(options)
      let input = PipeWriter(loop: harness.loop, descriptor: child.standardInput)
      let output = PipeReader(loop: harness.loop, descriptor: child.standardOutput)
      let errors = PipeReader(loop: harness.loop, descriptor: child.standardError)
      var received: [UInt8] = []
      var complaint: [UInt8] = []
      var ends = 0
      output.onReceive = { received.append(contentsOf: $0) }
      output.onEnd = { _ in ends += 1 }
      errors.onReceive = { complaint.append(contentsOf: $0) }
      errors.onEnd = { _ in ends += 1 }
      for start in stride(from: 0, to: sent.count, by: 100_000) {
        input.send(Array(sent[start..<(start + 100_000)]))
      }
      input.closeAfterSending()
      var status: UringIO.ExitStatus?
      child.onExit { status = $0 }
      #expect(harness.until { ends == 2 && status != nil })
      #expect(received == sent)
      #expect(String(decoding: complaint, as: UTF8.self) == "problem\n")
      output.close()
      errors.close()
    }
  }

  @Test(arguments: IOKind.allCases) func closingTheLoopKillsWhatStillRuns(io: IOKind) throws {
    var pid: Int32 = 0
    try LoopHarness.run(io) { harness in pid = try harness.loop.spawn(shell("sleep 100")).pid }
    // Neither running nor a zombie: the number is free.
    #expect(kill(pid, 0) == -1 && errno == ESRCH)
  }

  @Test(arguments: IOKind.allCases) func aWriterLearnsThatItsReaderIsGone(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var options = shell("exit 0")
      options.standardInput = .pipe
      let child = try harness.loop.spawn(options)
      let input = PipeWriter(loop: harness.loop, descriptor: child.standardInput)
      var failure: IOFailure?
      input.onFailure = { failure = $0 }
      input.send([UInt8](repeating: 1, count: 1_000_000))
      #expect(harness.until { failure != nil })
      #expect(failure?.code == EPIPE)
    }
  }

  @Test(arguments: IOKind.allCases) func aChildInheritsNothingButWhatItIsGiven(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      // Without close-on-exec: only closing everything keeps it out of the child.
      let leaky = dup(0)
      defer { close(leaky) }
      let extra = open("/dev/zero", O_RDONLY | O_CLOEXEC)
      defer { close(extra) }
      var options = shell("echo fds: /proc/self/fd/*; env; pwd; readlink /proc/self/fd/3")
      options.environment = ["KFM_TEST=one two"]
      options.workingDirectory = "/usr"
      options.extraDescriptors = [extra]
      let text = try harness.output(of: options)
      let descriptors = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst()
        .compactMap { Int($0.split(separator: "/").last ?? "") }
      // 0 to 3, and at most the one the shell lists the directory with.
      #expect(descriptors.filter { $0 <= 3 } == [0, 1, 2, 3])
      #expect(descriptors.count <= 5)
      let environment = text.split(separator: "\n").filter { $0.contains("=") }
      #expect(environment.contains("KFM_TEST=one two"))
      #expect(!environment.contains { $0.hasPrefix("PATH=/") && $0.contains("swift") })
      #expect(!environment.contains { $0.hasPrefix("HOME=") })
      #expect(text.contains("\n/usr\n"))
      #expect(text.contains("\n/dev/zero\n"))
    }
  }

  @Test(arguments: IOKind.allCases) func aStepThatFailsInTheChildIsNamed(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var options = SpawnOptions(executable: "/none/such")
      #expect {
        _ = try harness.loop.spawn(options)
      } throws: { "\($0)" == "exec /none/such: No such file or directory" }
      options = shell("exit 0")
      options.workingDirectory = "/none/such"
      #expect {
        _ = try harness.loop.spawn(options)
      } throws: { ($0 as? IOFailure)?.operation == "chdir" }
      options = shell("exit 0")
      options.standardOutput = .descriptor(999_999)
      #expect {
        _ = try harness.loop.spawn(options)
      } throws: { ($0 as? IOFailure)?.code == EBADF }
    }
  }

  @Test(arguments: IOKind.allCases) func signalsReachTheLoop(io: IOKind) async throws {
    await #expect(processExitsWith: .success) { [io] in
      try LoopHarness.run(io) { harness in
        var received: [Int32] = []
        try harness.loop.signals([SIGTERM, SIGHUP]) { received.append($0) }
        // To this thread: others of the test runner do not block it.
        raise(SIGTERM)
        guard harness.until({ received == [SIGTERM] }) else { exit(2) }
        raise(SIGHUP)
        guard harness.until({ received == [SIGTERM, SIGHUP] }) else { exit(3) }
        // The block is not inherited by children.
        let child = try harness.loop.spawn(shell("kill -TERM $$; exit 0"))
        var status: UringIO.ExitStatus?
        child.onExit { status = $0 }
        guard harness.until({ status != nil }) else { exit(4) }
        guard status == .signaled(SIGTERM) else { exit(5) }
      }
    }
  }
}

func shell(_ script: String) -> SpawnOptions {
  SpawnOptions(executable: "/bin/sh", arguments: ["-c", script])
}

extension LoopHarness {
  /// What a child writes to its standard output until it ends.
  fileprivate func output(of options: SpawnOptions) throws -> String {
    var options = options
    options.standardOutput = .pipe
    let child = try loop.spawn(options)
    let output = PipeReader(loop: loop, descriptor: child.standardOutput)
    var bytes: [UInt8] = []
    var isEnded = false
    output.onReceive = { bytes.append(contentsOf: $0) }
    output.onEnd = { _ in isEnded = true }
    #expect(until { isEnded })
    output.close()
    return String(decoding: bytes, as: UTF8.self)
  }
}
