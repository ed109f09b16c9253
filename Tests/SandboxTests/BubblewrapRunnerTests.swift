// Contract: a tool gets its arguments on stdin and answers on stdout; nothing of the host is
// visible or writable to it; whatever it does, it ends, and everything it started ends with it.
// Real jails are made. What these tests cannot show: holes in the kernel.
import Base
import Events
import Glibc
import Sandbox
import TestSupport
import Testing
import UringIO

@Suite(.serialized, .enabled(if: SandboxMachine.works, "no jail can be made on this machine"))
struct BubblewrapRunnerTests {
  @Test func toolAnswersOnStandardOutput() throws {
    #expect(try runTool("echo hello").output == "hello\n")
  }

  @Test func argumentsComeOnStandardInput() throws {
    let input = #"{"q":"naïve 🦊"}"#
    #expect(try runTool("cat", input: input).output == input)
  }

  @Test func aToolThatNeverReadsItsInputIsFine() throws {
    let input = "{\"x\":\"" + String(repeating: "a", count: 300_000) + "\"}"
    #expect(try runTool("echo done", input: input).output == "done\n")
  }

  @Test func relativeCommandStartsInThePack() throws {
    let pack = PackFolder()
    pack.write("tool.sh", "#!/bin/sh\npwd\n")
    let outcome = try LoopHarness.run { harness -> ToolOutcome? in
      let runner = makeRunner(harness)
      var outcome: ToolOutcome?
      _ = runner.run(invocation(pack: pack.path, command: ["./tool.sh"])) { outcome = $0 }
      _ = harness.until { outcome != nil }
      return outcome
    }
    #expect(outcome == .output("/pack\n"))
  }

  @Test func packIsReadOnly() throws {
    let result = try runTool("cat /pack/tool.sh; touch /pack/x || touch /pack/tool.sh")
    #expect(result.failure?.contains("Read-only file system") == true)
  }

  @Test func onlyTemporaryFolderIsWritable() throws {
    let script = """
      for d in / /usr /etc /dev /pack /proc; do touch $d/x 2>/dev/null && echo "wrote $d"; done
      touch /tmp/x && echo ok
      """
    #expect(try runTool(script).output == "ok\n")
  }

  @Test func temporaryFolderIsBounded() throws {
    let script = """
      i=0
      while [ $i -lt 4 ]; do head -c 30000000 /dev/zero > /tmp/f$i 2>/dev/null || break; i=$((i+1)); done
      echo $i
      """
    #expect(try runTool(script).output == "2\n")
  }

  @Test func thereIsNoNetworkButLoopback() throws {
    let script = """
      tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '
      cat /proc/net/route | tail -n +2
      """
    #expect(try runTool(script).output == "lo\n")
  }

  @Test func environmentIsEmpty() throws {
    let output = try #require(try runTool("env | sort").output)
    #expect(output == "HOME=/tmp\nLANG=C.UTF-8\nPATH=/usr/bin:/bin\nPWD=/pack\n")
  }

  @Test func hostFilesAreNotThere() throws {
    let script = """
      for f in /etc/shadow /etc/passwd /root /home /var /run /sys /boot; do
        [ -e $f ] && echo "sees $f"
      done
      ls -A / | tr '\\n' ' '
      """
    let output = try #require(try runTool(script).output)
    #expect(output == "bin dev etc lib lib64 pack proc sbin tmp usr ")
  }

  @Test func hostProcessesAreNotThere() throws {
    let output = try #require(try runTool("ls -d /proc/[0-9]* | wc -l").output)
    let count = Int(output.split(separator: "\n")[0]) ?? 999
    #expect(count < 10)
  }

  @Test func everyNamespaceIsItsOwn() throws {
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
    let script = names.map { "readlink /proc/self/ns/\($0)" }.joined(separator: "\n")
    let output = try #require(try runTool(script).output)
    let inside = output.split(separator: "\n").map(String.init)
    #expect(inside.count == names.count)
    for (name, link) in zip(names, inside) {
      var buffer = [CChar](repeating: 0, count: 64)
      let count = readlink("/proc/self/ns/\(name)", &buffer, 63)
      let outside = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      #expect(link != outside, "\(name)")
    }
  }

  @Test func thereArePrivilegesNeitherNowNorLater() throws {
    let script = """
      grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs)' /proc/self/status | cut -f2 | tr '\\n' ' '
      id -u; unshare -U true 2>/dev/null && echo escaped; hostname
      """
    let output = try #require(try runTool(script).output)
    let none = String(repeating: "0000000000000000 ", count: 5)
    let user = geteuid() == 0 ? 65_534 : geteuid()
    #expect(output == "\(none)1 \(user)\nsandbox\n")
  }

  @Test func onlyStandardDescriptorsAreOpen() throws {
    // Whatever this process has open, inheritable or not.
    let leaks = (0..<5).map { _ in open("/etc/passwd", O_RDONLY) }
    defer { for leak in leaks { close(leak) } }
    // 3 is the folder that ls itself reads.
    #expect(try runTool("ls /proc/self/fd").output == "0\n1\n2\n3\n")
  }

  @Test func exitStatusAndFirstErrorLineAreReported() throws {
    let result = try runTool("echo 'no such city' >&2; echo more >&2; exit 3")
    #expect(result.failure == "the tool failed, exit status 3: no such city")
    #expect(result.logLines == ["no such city", "more"])
  }

  @Test func standardErrorIsBounded() throws {
    let result = try runTool("yes 2>/dev/null | head -n 5000 >&2; echo ok")
    #expect(result.output == "ok\n")
    #expect(result.logLines.count == 100)
  }

  @Test func aMissingCommandFailsWithItsName() throws {
    let pack = PackFolder()
    let outcome = try LoopHarness.run { harness -> ToolOutcome? in
      let runner = makeRunner(harness)
      var outcome: ToolOutcome?
      _ = runner.run(invocation(pack: pack.path, command: ["./gone"])) { outcome = $0 }
      _ = harness.until { outcome != nil }
      return outcome
    }
    guard case .failed(let words) = outcome else { return #expect(outcome == nil) }
    #expect(words.contains("gone") && words.contains("No such file"))
  }

  @Test func aPackThatIsGoneFails() throws {
    let outcome = try LoopHarness.run { harness -> ToolOutcome? in
      let runner = makeRunner(harness)
      var outcome: ToolOutcome?
      _ = runner.run(invocation(pack: "/nowhere/pack")) { outcome = $0 }
      _ = harness.until { outcome != nil }
      return outcome
    }
    guard case .failed = outcome else { return #expect(outcome == nil) }
  }
}

func makeRunner(_ harness: LoopHarness, _ options: SandboxOptions = SandboxOptions())
  -> BubblewrapRunner
{
  BubblewrapRunner(
    options: options, loop: harness.loop,
    logger: Logger(module: "sandbox", ring: LogRing(), clock: SystemClock()))
}
