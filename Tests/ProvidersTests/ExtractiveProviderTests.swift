// Contract: without a model the answer quotes what was retrieved, names it, and says what it is.
import Base
import Events
import Providers
import TestSupport
import Testing
import UringIO

@Suite struct ExtractiveProviderTests {
  private func ask(_ request: GenerateRequest) throws -> CallRecorder {
    try LoopHarness.run { harness in
      let provider = ExtractiveProvider(name: "extractive", timers: harness.loop)
      let recorder = CallRecorder()
      _ = provider.call(request, model: ExtractiveProvider.model, sink: recorder.sink)
      #expect(recorder.deltas.isEmpty)
      _ = harness.until { recorder.lastEvents > 0 }
      return recorder
    }
  }

  private func passage(_ document: String, _ text: String, heading: String? = nil) -> Passage {
    Passage(document: document, heading: heading, text: text, score: 0.5, chunkID: document)
  }

  @Test func passagesAreQuotedAndNamed() throws {
    let recorder = try ask(
      request(
        "What is a submission queue?",
        passages: [
          passage("io/ring.md", "A ring has two queues.", heading: "Rings"),
          passage("io/sq.md", "The submission queue holds entries."),
        ]))
    #expect(recorder.deltas.count == 3)
    let text = recorder.text
    #expect(text.contains("No language model is configured"))
    #expect(text.contains("> A ring has two queues.\n— io/ring.md, “Rings”"))
    #expect(text.contains("> The submission queue holds entries.\n— io/sq.md"))
    let result = try #require(recorder.result)
    #expect(result.text == text && result.usage.estimated && result.usage.tokensOut > 0)
  }

  @Test func theBestSentencesOfALongPassageAreQuoted() throws {
    let filler = (0..<20).map { "Filler number \($0) says nothing." }.joined(separator: " ")
    let text = filler + " The zebra eats thistles.\nZebras sleep standing. " + filler
    let answer = try ask(request("What do zebra eat: thistles?", passages: [passage("z.md", text)]))
    #expect(answer.text.contains("The zebra eats thistles."))
    #expect(!answer.text.contains("Filler number 3 "))
  }

  @Test func quotesAndTheirNumberAreBounded() throws {
    let long = String(repeating: "word ", count: 5_000)
    let many = (0..<9).map { passage("\($0).md", long) }
    let answer = try ask(request("q", passages: many))
    #expect(answer.text.utf8.count < 3_000)
    #expect(answer.text.contains("— 2.md") && !answer.text.contains("— 3.md"))
  }

  @Test func withoutPassagesItSaysSo() throws {
    let answer = try ask(request("q", passages: [passage("empty.md", "")]))
    #expect(answer.text.contains("nothing to quote") && answer.result != nil)
  }

  @Test func aSchemaIsRefused() throws {
    let answer = try ask(request("q", schema: ["type": "object"]))
    #expect(answer.failure?.failure.code == .providerInvalidRequest)
    #expect(answer.failure?.failure.retryable == false)
  }
}
