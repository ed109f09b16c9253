// Contract: where io_uring is forbidden, a node serves over epoll with one warning that names the
// cause, `kfm doctor` says how to get io_uring, and with `io = "uring"` `kfm serve` says what to do
// in one line, ends with exit code 6 and leaves nothing behind.
// Not shown here: the sysctl, which would change the whole machine.
import Base
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
    func aForbiddenRingIsSixWhereItIsInsistedOn() throws {
      let node = try NodeProcess(try ScriptedProvider(), .init(node: "io = \"uring\""))
      guard let outcome = try confined(node, "serve")?.wait() else { return }
      #expect(outcome.exitCode == 6)
      #expect(outcome.output.isEmpty)
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == 1, "\(outcome.errors)")
      #expect(lines.first?.contains("io_uring is forbidden") == true)
      #expect(lines.first?.contains("allow io_uring_setup") == true)
      #expect(!FileManager.default.fileExists(atPath: "\(node.dataDirectory)/log"))
    }

    @Test(.enabled(if: bubblewrap != nil, "bubblewrap is not installed"))
    func aForbiddenRingIsReplacedByEpoll() throws {
      let node = try NodeProcess(try ScriptedProvider())
      guard try confined(node, "version") != nil else { return }
      try node.start(wrapped: Self.wrapper)
      let turn = try node.http.request("POST", "/v1/turns", ["user_message": "hello"]).json
      let ended = try node.ended(turn["turn_id"]?.string ?? "")
      #expect(ended["status"]?.string == "completed")
      let about = node.log.filter { $0["cause"]?.string == "forbiddenBySeccomp" }
      #expect(about.count == 1, "\(node.log)")
      #expect(about.first?["level"]?.string?.hasPrefix("warn") == true)
      #expect(node.log.contains { $0["io"]?.string == "epoll" })
      try node.stop()
      let doctor = try confined(node, "doctor --json")?.wait().output ?? ""
      let check = doctor.split(separator: "\n").compactMap { try? JSON(parsing: String($0)) }
        .first { $0["check"]?.string == "io_uring" }
      #expect(check?["status"]?.string == "warn")
      #expect(check?["detail"]?.string?.contains("epoll") == true)
      #expect(check?["remedy"]?.string?.contains("deploy/seccomp-kfm.json") == true)
    }

    /// The profile that is shipped allows what the default one does not.
    @Test func theShippedProfileAllowsTheRing() throws {
      let url = URL(fileURLWithPath: "\(TestPaths.root)/deploy/seccomp-kfm.json")
      let profile = try JSON(parsing: String(contentsOf: url, encoding: .utf8))
      #expect(profile["defaultAction"]?.string == "SCMP_ACT_ERRNO")
      var allowed: Set<String> = []
      for rule in profile["syscalls"]?.array ?? [] {
        let names = (rule["names"]?.array ?? []).compactMap(\.string)
        #expect(!names.isEmpty && Set(names).count == names.count)
        #expect(rule["action"]?.string?.hasPrefix("SCMP_ACT_") == true)
        let isPlain = rule["args"] == nil && rule["includes"] == nil && rule["excludes"] == nil
        if isPlain { allowed.formUnion(names) }
      }
      let needed = [
        "io_uring_setup", "io_uring_enter", "io_uring_register", "epoll_pwait2", "read",
      ]
      #expect(allowed.isSuperset(of: needed))
      #expect(allowed.isDisjoint(with: ["mount", "setns", "bpf", "clone3"]))
    }

    private static let wrapper =
      "export KFM_CONFIG=config.toml; exec \(bubblewrap ?? "bwrap") --dev-bind / / --die-with-parent --seccomp 9 -- "
      + "'\(TestPaths.kfm)' $0 9<filter"

    /// A command of the program under the filter; nil where none can be set.
    private func confined(_ node: NodeProcess, _ command: String) throws -> ChildProgram? {
      try Data(Self.filter).write(to: node.folder.url("filter"))
      let probe = Self.wrapper.replacingOccurrences(of: "'\(TestPaths.kfm)' $0", with: "/bin/true")
      let outcome = try ChildProgram("/bin/bash", ["-c", probe], in: node.folder).wait()
      if outcome.errors.hasPrefix("bwrap:") {
        if TestPaths.isCI { Issue.record("no filter can be set here: \(outcome.errors)") }
        print("RingTests: skipped, no filter can be set here: \(outcome.errors)")
        return nil
      }
      return try ChildProgram("/bin/bash", ["-c", Self.wrapper, command], in: node.folder)
    }
  }
}
