// Contract: with the installed models and no other configuration, a question of the archivist is
// answered by the real local model: streamed, grounded in its documents, with a receipt; and the
// model's server ends with the node. What the small model says is not judged.
import Base
import Foundation
import Testing

extension NodeTests {
  @Suite struct LocalModelTests {
    /// Where `make model` puts the models; nil when they are not installed.
    private static var models: String? {
      let environment = ProcessInfo.processInfo.environment
      let directory = environment["KFM_TEST_MODELS"] ?? "\(TestPaths.root)/.models"
      let stamp = "\(directory)/model.stamp"
      return FileManager.default.fileExists(atPath: stamp) ? directory : nil
    }

    @Test func oneTurnWithTheRealModel() throws {
      guard let models = Self.models else {
        #expect(!TestPaths.isCI, "the models are not installed; run `make model`")
        print("skipped: the local models are not installed (make model)")
        return
      }
      let settings = NodeProcess.Settings(
        provider: """
          [[providers]]
          name = "local"
          kind = "local"
          model_dir = "\(models)"
          """)
      let node = try NodeProcess(ScriptedProvider(), settings).start()
      let question = "Why does a log call fdatasync before it acknowledges?"
      let outcome = try node.command("ask", "--json", "--personality", "archivist", question)
        .wait(seconds: 180)
      #expect(outcome.exitCode == 0, "\(outcome.errors)")
      let end = try JSON(parsing: outcome.output)
      let answer = try #require(end["answer"]?.string)
      #expect(answer.utf8.count > 20)
      #expect(end["sources"]?.array?.first?["document"]?.string?.contains("fdatasync") == true)
      let receipt = try #require(end["receipt"])
      #expect((receipt["tokens_in"]?.int ?? 0) > 100)
      #expect((receipt["tokens_out"]?.int ?? 0) > 0)
      #expect((receipt["provider_us"]?.int ?? 0) > 0)
      #expect(receipt["cost_micros"]?.int == 0)
      let turn = try #require(end["turn_id"]?.string)
      let events = try node.tail("agent.turns.responses").compactMap { $0["event"]?["payload"] }
      let deltas = events.filter {
        $0["turn_id"]?.string == turn && $0["event"]?.string == "delta"
      }
      #expect(deltas.count > 3, "the answer came in one piece")
      #expect(deltas.compactMap { $0["text"]?.string }.joined() == answer)
      #expect(try node.stop(SIGTERM) == 0)
    }
  }
}
