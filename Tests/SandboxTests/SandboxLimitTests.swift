// Contract: a tool that wants everything gets its share and no more, and nothing of it is left
// when its run has ended: not after a deadline, not after a cancel.
import Base
import Events
import Glibc
import Sandbox
import TestSupport
import Testing
import UringIO

@Suite(.serialized, .enabled(if: SandboxMachine.works, "no jail can be made on this machine"))
struct SandboxLimitTests {
  @Test func aForkBombIsBounded() throws {
    // Counts what runs at once: each child holds its process until the deadline.
    let script = """
      i=0; while [ $i -lt 200 ]; do sleep 100 & i=$((i+1)); echo $i; done
      """
    var options = SandboxOptions()
    options.wall = .seconds(3)
    let result = try runTool("exec 2>/dev/null; \(script)", options: options)
    // dash gives up at the first fork that fails.
    let words = try #require(result.failure)
    #expect(words.contains("exit status 2"))
  }

  @Test func forksStopAtTheLimit() throws {
    let script = """
      (i=0; while [ $i -lt 200 ]; do sleep 1 & i=$((i+1)); echo $i; done) 2>/dev/null | tail -n 1
      """
    let count = Int(try runTool(script).output?.split(separator: "\n").last ?? "") ?? 0
    #expect(count > 20 && count < 64)
  }

  @Test func memoryIsBounded() throws {
    let result = try runTool("head -c 400000000 /dev/zero | tail -c 400000000 | wc -c")
    #expect(result.output == "0\n")
    #expect(result.logLines.contains { $0.contains("memory exhausted") })
  }

  @Test func processorTimeIsBounded() throws {
    var options = SandboxOptions()
    options.cpu = .seconds(1)
    let result = try runTool("while :; do :; done", options: options)
    #expect(result.failure == "the tool used more than 1s of CPU time")
  }

  @Test func theDeadlineKillsTheWholeTree() throws {
    let marker = "10\(getpid())"
    var options = SandboxOptions()
    options.wall = .milliseconds(700)
    let script = """
      (setsid sleep \(marker) & setsid sh -c 'sleep \(marker); :' &)
      sleep \(marker)
      """
    let result = try runTool(script, options: options)
    #expect(result.failure == "the tool did not finish within 700ms and was killed")
    #expect(waitUntilGone(marker))
  }

  @Test func theToolsOwnTimeoutIsShorter() throws {
    let result = try runTool("sleep 60", timeout: .milliseconds(300))
    #expect(result.failure == "the tool did not finish within 300ms and was killed")
  }

  @Test func whatIsLeftBehindEndsWithTheTool() throws {
    let marker = "11\(getpid())"
    let result = try runTool("setsid sleep \(marker) > /dev/null 2>&1 & echo started")
    #expect(result.output == "started\n")
    #expect(waitUntilGone(marker))
  }

  @Test func outputIsBounded() throws {
    var options = SandboxOptions()
    options.output = ByteCount(64 << 10)
    #expect(try runTool("head -c 65536 /dev/zero", options: options).output?.utf8.count == 65_536)
    let oneMore = try runTool("head -c 65537 /dev/zero", options: options)
    #expect(oneMore.failure?.contains("more than 64KiB") == true)
    let result = try runTool("yes", options: options)
    #expect(result.failure == "the tool wrote more than 64KiB and was killed")
  }

  @Test func cancelKillsTheTreeAndStaysSilent() throws {
    let marker = "12\(getpid())"
    let pack = PackFolder()
    pack.write("tool.sh", "sleep \(marker) & sleep \(marker)")
    try LoopHarness.run { harness in
      let runner = makeRunner(harness)
      var outcomes = 0
      let run = runner.run(invocation(pack: pack.path)) { _ in outcomes += 1 }
      #expect(harness.untilSeen { !isGone(marker) })
      run.cancel()
      run.cancel()
      #expect(harness.untilSeen { isGone(marker) })
      #expect(outcomes == 0)
    }
  }

  @Test func manyRunsAtOnceAllEnd() throws {
    let pack = PackFolder()
    pack.write("tool.sh", "cat")
    try LoopHarness.run { harness in
      let runner = makeRunner(harness)
      var outputs: [String] = []
      let runs = (0..<30).map { index in
        runner.run(invocation(pack: pack.path, input: "{\"i\":\(index)}")) { outcome in
          if case .output(let text) = outcome { outputs.append(text) }
        }
      }
      // One that waits is given up: it never runs.
      runs[29].cancel()
      _ = harness.until(deadline: .seconds(60)) { outputs.count == 29 }
      #expect(Set(outputs) == Set((0..<29).map { "{\"i\":\($0)}" }))
    }
  }

  private func waitUntilGone(_ marker: String) -> Bool {
    (try? LoopHarness.run { $0.untilSeen { isGone(marker) } }) ?? false
  }

  /// No process of this machine has `marker` as an argument of sleep.
  private func isGone(_ marker: String) -> Bool {
    guard let folder = opendir("/proc") else { return false }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard Int(name) != nil, let file = fopen("/proc/\(name)/cmdline", "r") else { continue }
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 256)
      let count = fread(&bytes, 1, 256, file)
      let words = bytes[..<count].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      if words.first == "sleep", words.contains(marker) { return false }
    }
    return true
  }
}
