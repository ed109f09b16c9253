// Contract: where io_uring is forbidden, `kfm serve` says so in one clear line with what to do, ends
// with exit code 6, and leaves nothing behind.
// Not shown here: the sysctl, which would change the whole machine.
import Foundation
import Testing

extension NodeTests {
  @Suite struct RingTests {
    private static let bubblewrap = TestPaths.program("bwrap")

    /// A program for the kernel's filter (seccomp(2)): io_uring_setup gives EPERM, all else runs.
    private static let filter: [UInt8] = {
      // Code, jump if true, jump if false, operand.
      let instructions: [(UInt16, UInt8, UInt8, UInt32)] = [
        (0x20, 0, 0, 0),  // load the system call's number
        (0x15, 0, 1, 425),  // io_uring_setup, on every architecture
        (0x06, 0, 0, 0x0005_0001),  // fail with EPERM
        (0x06, 0, 0, 0x7FFF_0000),  // allow
      ]
      return instructions.flatMap { code, yes, no, operand in
        [UInt8(code & 0xFF), UInt8(code >> 8), yes, no]
          + (0..<4).map { UInt8(truncatingIfNeeded: operand >> (8 * $0)) }
      }
    }()

    @Test(.enabled(if: bubblewrap != nil, "bubblewrap is not installed"))
    func aForbiddenRingIsSix() throws {
      let node = try NodeProcess(try ScriptedProvider())
      try Data(Self.filter).write(to: node.folder.url("filter"))
      let line =
        "exec \(Self.bubblewrap ?? "bwrap") --dev-bind / / --seccomp 9 -- "
        + "'\(TestPaths.kfm)' serve --config config.toml 9<filter"
      let outcome = try ChildProgram("/bin/bash", ["-c", line], in: node.folder).wait()
      if outcome.errors.hasPrefix("bwrap:") {
        if TestPaths.isCI { Issue.record("no filter can be set here: \(outcome.errors)") }
        return print("RingTests: skipped, no filter can be set here: \(outcome.errors)")
      }
      #expect(outcome.exitCode == 6)
      #expect(outcome.output.isEmpty)
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == 1, "\(outcome.errors)")
      #expect(lines.first?.contains("io_uring is forbidden") == true)
      #expect(lines.first?.contains("allow io_uring_setup") == true)
      #expect(!FileManager.default.fileExists(atPath: "\(node.dataDirectory)/log"))
    }
  }
}
