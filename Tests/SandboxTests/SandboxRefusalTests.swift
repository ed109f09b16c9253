// Contract: without a jail no tool runs, and the words say why and what to do. Runs everywhere,
// also on machines that cannot make jails.
import Base
import Events
import Glibc
import Sandbox
import TestSupport
import Testing
import UringIO

@Suite struct SandboxRefusalTests {
  @Test func withoutBubblewrapNothingRuns() throws {
    var options = SandboxOptions()
    options.searchPath = ["/nowhere", "relative"]
    let result = try runTool("echo hello", options: options)
    #expect(
      result.failure
        == "the tool was not run, because there is no sandbox: bubblewrap (bwrap) is not "
        + "installed. Remedy: apt-get install bubblewrap")
  }

  @Test func aBubblewrapThatFailsIsNoBubblewrap() throws {
    let folder = PackFolder()
    for name in ["bwrap", "prlimit", "unshare", "sh", "mount", "setpriv"] {
      folder.write(name, "#!/bin/sh\necho \"$0 says no\" >&2\nexit 1\n")
    }
    defer {
      for name in ["bwrap", "prlimit", "unshare", "sh", "mount", "setpriv"] {
        unlink("\(folder.path)/\(name)")
      }
    }
    var options = SandboxOptions()
    options.searchPath = [folder.path]
    let result = try runTool("echo hello", options: options)
    #expect(result.failure?.contains("no jail can be made") == true)
    #expect(result.failure?.contains("says no") == true)
  }

  @Test func switchedOffNothingRuns() throws {
    var options = SandboxOptions()
    options.isEnabled = false
    let result = try runTool("echo hello", options: options)
    #expect(result.failure?.contains("switched off") == true)
  }

  @Test func everyMissingProgramIsNamed() {
    let all = ["bwrap", "prlimit", "unshare", "sh", "mount", "setpriv"]
    for missing in all {
      let folder = PackFolder()
      for name in all where name != missing { folder.write(name, "") }
      defer { for name in all { unlink("\(folder.path)/\(name)") } }
      #expect(throws: JailPrograms.Missing.program(missing)) {
        try JailPrograms.locate(in: [folder.path], isRoot: true)
      }
    }
  }

  @Test func aUserNeedsNoProgramsToLeaveRoot() throws {
    let folder = PackFolder()
    for name in ["bwrap", "prlimit"] { folder.write(name, "") }
    defer { for name in ["bwrap", "prlimit"] { unlink("\(folder.path)/\(name)") } }
    let programs = try JailPrograms.locate(in: [folder.path], isRoot: false)
    #expect(programs.leavingRoot == nil)
    let command = JailCommand(
      programs: programs, options: SandboxOptions(), packDirectory: "/p", command: ["x"])
    #expect(command.executable == "\(folder.path)/bwrap")
    #expect(command.arguments.suffix(2) == ["--", "x"])
    #expect(command.arguments.contains("/p") && command.arguments.contains("--unshare-all"))
  }
}
