// Contract: the tool of the sample pack runs in the jail as it is shipped.
import Base
import Events
import Glibc
import Sandbox
import TestSupport
import Testing
import UringIO

@Suite(.enabled(if: SandboxMachine.works, "no jail can be made on this machine"))
struct SamplePackToolTests {
  private func find(_ arguments: String) throws -> ToolOutcome? {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return try LoopHarness.run { harness in
      var outcome: ToolOutcome?
      _ = makeRunner(harness).run(
        invocation(
          pack: "/\(root)/personalities/archivist",
          command: ["/bin/sh", "tools/find_text.sh"], input: arguments)
      ) { outcome = $0 }
      _ = harness.until { outcome != nil }
      return outcome
    }
  }

  @Test func itFindsWhatTheDocumentsSay() throws {
    guard case .output(let text) = try find(#"{"text":"io_uring","limit":2}"#) else {
      return #expect(Bool(false), "the tool failed")
    }
    #expect(text.contains(" lines in ") && text.contains(".md:"))
  }

  @Test func itRefusesWrongArguments() throws {
    let outcome = try find(#"{"text":""}"#)
    #expect(
      outcome
        == .failed(
          "the tool failed, exit status 2: find_text: argument \"text\" is missing or empty"))
  }
}
