import Base
import Events
import Glibc
import Sandbox
import TestSupport
import UringIO

/// A pack folder of its own for one test, closed to everybody but its owner from above.
final class PackFolder {
  let root: String
  let path: String

  init() {
    var template = Array("/tmp/kfm-sandbox-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary folder")
    root = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    path = "\(root)/pack"
    mkdir(path, 0o755)
  }

  deinit {
    for name in ["tool.sh", "secret"] { unlink("\(path)/\(name)") }
    rmdir(path)
    rmdir(root)
  }

  func write(_ name: String, _ text: String, mode: mode_t = 0o755) {
    let descriptor = open("\(path)/\(name)", O_CREAT | O_WRONLY | O_TRUNC, mode)
    precondition(descriptor >= 0, "cannot write \(name)")
    defer { close(descriptor) }
    _ = text.withCString { Glibc.write(descriptor, $0, strlen($0)) }
  }
}

/// Whether this machine can make jails; a machine that cannot is tested for refusing only.
enum SandboxMachine {
  static let works: Bool = {
    let found = try? LoopHarness.run { harness -> Bool in
      var result: Bool?
      SandboxProbe.run(on: harness.loop, options: SandboxOptions()) { outcome in
        if case .success = outcome { result = true } else { result = false }
      }
      _ = harness.until { result != nil }
      return result ?? false
    }
    return found ?? false
  }()
}

struct ToolCallResult {
  var outcome: ToolOutcome?
  var logLines: [String]
}

/// Runs `script` with sh as the tool of a pack and waits for its outcome.
func runTool(
  _ script: String, input: String = "{}", options: SandboxOptions = SandboxOptions(),
  timeout: Nanoseconds? = nil
) throws -> ToolCallResult {
  let pack = PackFolder()
  pack.write("tool.sh", script)
  let ring = LogRing()
  return try LoopHarness.run { harness in
    let runner = BubblewrapRunner(
      options: options, loop: harness.loop,
      logger: Logger(module: "sandbox", ring: ring, clock: SystemClock()))
    var outcome: ToolOutcome?
    _ = runner.run(
      invocation(pack: pack.path, input: input, timeout: timeout), completion: { outcome = $0 })
    let isEarly = outcome != nil
    precondition(!isEarly, "completed inside run()")
    _ = harness.until(deadline: .seconds(30)) { outcome != nil }
    let lines = ring.drain().compactMap { record -> String? in
      guard let member = record.fields.members.first(where: { $0.name == "line" }) else {
        return nil
      }
      return member.value.string
    }
    return ToolCallResult(outcome: outcome, logLines: lines)
  }
}

func invocation(
  pack: String, command: [String] = ["/bin/sh", "/pack/tool.sh"], input: String = "{}",
  timeout: Nanoseconds? = nil
) -> ToolInvocation {
  let tool = ToolDefinition(
    name: "probe", description: "", command: command, inputSchema: [:], effect: .read,
    timeout: timeout)
  return ToolInvocation(
    tool: tool, packDirectory: pack, arguments: Array(input.utf8),
    traceID: "0123456789abcdef0123456789abcdef")
}

extension ToolCallResult {
  var output: String? { if case .output(let text) = outcome { text } else { nil } }
  var failure: String? { if case .failed(let text) = outcome { text } else { nil } }
}
