// Contract: one exchange becomes deltas and exactly one last event; cancel closes it at once
// and nothing follows; nothing comes before the call has returned.
import Base
import Events
import HTTP
import Providers
import TestSupport
import Testing
import UringIO

@Suite struct OpenAIAdapterTests {
  private func adapter(
    _ transport: ScriptedTransport, _ harness: LoopHarness,
    _ change: (inout ProviderOptions) -> Void = { _ in }
  ) -> OpenAIAdapter {
    var options = ProviderOptions(
      name: "p", kind: .openai, baseURL: "http://127.0.0.1:9/v1/", apiKey: "sk-own", models: ["m"])
    change(&options)
    return OpenAIAdapter(
      options: options,
      dependencies: OpenAIAdapter.Dependencies(
        transport: transport, clock: harness.loop.clock, random: SeededRandom(seed: 1)),
      probe: nil)
  }

  private func run(_ answer: ScriptedAnswer?) throws -> CallRecorder {
    try LoopHarness.run { harness in
      let transport = ScriptedTransport(harness.loop, [answer])
      let recorder = CallRecorder()
      let adapter = adapter(transport, harness)
      _ = adapter.call(request(), model: "m", sink: recorder.sink)
      #expect(recorder.lastEvents == 0)
      _ = harness.until(deadline: .seconds(2)) { recorder.lastEvents > 0 }
      harness.loop.runOnce()
      #expect(recorder.lastEvents == 1)
      return recorder
    }
  }

  @Test func aStreamedAnswer() throws {
    let recorder = try run(.stream(Chunks.answer(["Hel", "lo"])))
    #expect(recorder.deltas == ["Hello"])
    let result = try #require(recorder.result)
    #expect(result.text == "Hello" && result.finishReason == "stop")
    #expect(result.usage.tokensIn == 21 && result.usage.tokensCached == 8)
    #expect(!result.usage.estimated)
  }

  @Test func deltasOfOneReadAreJoinedAndReadsAreNot() throws {
    var answer = ScriptedAnswer()
    answer.body = [
      Array((Chunks.text("a") + Chunks.text("b")).utf8), Array(Chunks.text("c").utf8),
      Array((Chunks.stop + Chunks.done).utf8),
    ]
    #expect(try run(answer).deltas == ["ab", "c"])
  }

  @Test func usageIsEstimatedWhenThereIsNone() throws {
    let recorder = try run(.stream(Chunks.text("four score") + Chunks.stop + Chunks.done))
    let usage = try #require(recorder.result?.usage)
    #expect(usage.estimated && usage.tokensOut == 3)
    #expect(usage.tokensIn == TokenEstimator.tokens(of: request()))
  }

  @Test func aStreamThatEndsEarlyIsCutAndCharged() throws {
    for end in [Result<Void, TransportFailure>.success(()), .failure(.cut("reset"))] {
      var answer = ScriptedAnswer.stream(Chunks.role + Chunks.text("abcdefgh"))
      answer.end = end
      let recorder = try run(answer)
      let failure = try #require(recorder.failure)
      #expect(failure.failure.code == .providerStreamCut && failure.failure.retryable)
      #expect(failure.usage.estimated && failure.usage.tokensOut == 2)
      #expect(recorder.text == "abcdefgh")
    }
  }

  @Test func aConnectionLostAfterTheFinishIsAnAnswer() throws {
    var answer = ScriptedAnswer.stream(Chunks.text("ok") + Chunks.stop)
    answer.end = .failure(.cut("reset"))
    #expect(try run(answer).result?.text == "ok")
  }

  @Test func silenceIsATimeout() throws {
    var answer = ScriptedAnswer()
    answer.end = .failure(.timeout(.idle))
    #expect(try run(answer).failure?.failure.code == .providerTimeout)
  }

  @Test func nobodyThere() throws {
    let recorder = try run(nil)
    #expect(recorder.failure?.failure.code == .providerUnavailable)
    #expect(recorder.failure?.usage.tokensIn == 0)
  }

  @Test(arguments: [400, 401, 403, 404, 429, 500, 502, 503])
  func refusalsCarryTheVendorsWordsWithoutKeys(_ status: Int) throws {
    let body = #"{"error":{"message":"scripted failure sk-SECRETLEAK"}}"#
    let recorder = try run(.error(status, body))
    let failure = try #require(recorder.failure?.failure)
    #expect(failure.message.contains("scripted failure"))
    #expect(!failure.message.contains("SECRETLEAK"))
    #expect(recorder.failure?.usage.tokensIn == 0)
  }

  @Test func theServersWishesAreRead() throws {
    let recorder = try run(
      .error(429, "{}", fields: ["Retry-After: 3", "X-Should-Retry: false"]))
    #expect(recorder.failure?.retryAfter == .seconds(3))
    #expect(recorder.failure?.serverRetries == false)
  }

  @Test func anErrorWhoseConnectionBreaksKeepsItsStatus() throws {
    var answer = ScriptedAnswer.error(401, #"{"error":{"mess"#)
    answer.end = .failure(.cut("reset"))
    #expect(try run(answer).failure?.failure.code == .providerAuthentication)
  }

  @Test func aHugeErrorBodyIsReadInPart() throws {
    let recorder = try run(.error(500, String(repeating: "x ", count: 1 << 20)))
    let message = try #require(recorder.failure?.failure.message)
    #expect(message.utf8.count < 1_200)
  }

  @Test func aPageInsteadOfAStream() throws {
    var answer = ScriptedAnswer.stream("<html>hello</html>")
    answer.fields = ["content-type: text/html; charset=utf-8"]
    #expect(try run(answer).failure?.failure.code == .providerProtocol)
  }

  @Test func aServerThatDoesNotStream() throws {
    var answer = ScriptedAnswer.stream(
      #"{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}],"#
        + #""usage":{"prompt_tokens":5,"completion_tokens":1}}"#
    )
    answer.fields = ["Content-Type: application/json"]
    let recorder = try run(answer)
    #expect(recorder.deltas == ["whole"] && recorder.result?.usage.tokensIn == 5)
    answer.body = [Array(#"{"choices":"#.utf8)]
    #expect(try run(answer).failure?.failure.code == .providerProtocol)
  }

  @Test func anEndlessLineIsRefused() throws {
    var answer = ScriptedAnswer()
    answer.body = Array(
      repeating: [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 16), count: 40)
    let failure = try #require(try run(answer).failure?.failure)
    #expect(failure.code == .providerProtocol && !failure.retryable)
  }

  @Test func nothingIsReadAfterTheEndMark() throws {
    let recorder = try run(.stream(Chunks.answer(["a"]) + Chunks.text("b") + "data: {\n\n"))
    #expect(recorder.text == "a" && recorder.result?.text == "a")
  }

  @Test func cancelClosesTheConnectionAndNothingFollows() throws {
    try LoopHarness.run { harness in
      var answer = ScriptedAnswer.stream(Chunks.text("a"))
      answer.end = nil
      let transport = ScriptedTransport(harness.loop, [answer])
      let recorder = CallRecorder()
      let call = adapter(transport, harness).call(request(), model: "m", sink: recorder.sink)
      _ = harness.until { !recorder.deltas.isEmpty }
      call.cancel()
      call.cancel()
      harness.loop.runOnce()
      #expect(transport.cancelled == 1 && recorder.lastEvents == 0)
    }
  }

  @Test func cancelFromTheSinkIsHonoured() throws {
    try LoopHarness.run { harness in
      let transport = ScriptedTransport(harness.loop, [.stream(Chunks.answer(["a"]))])
      var call: (any Cancellable)?
      var events = 0
      call = adapter(transport, harness).call(request(), model: "m") { _ in
        events += 1
        call?.cancel()
      }
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(events == 1)
    }
  }

  @Test func theRequestIsWhatTheVendorWants() throws {
    try LoopHarness.run { harness in
      let transport = ScriptedTransport(harness.loop, [.stream(Chunks.answer(["a"]))])
      let adapter = adapter(transport, harness) {
        $0.headers = ["X-Team": "red", "Accept": "*/*"]
        $0.timeouts.idle = .milliseconds(300)
      }
      _ = adapter.call(request(), model: "m", sink: { _ in })
      let sent = try #require(transport.requests.first)
      #expect(sent.url == "http://127.0.0.1:9/v1/chat/completions" && sent.method == .post)
      #expect(sent.timeouts.idle == .milliseconds(300))
      #expect(
        sent.fields == [
          HTTPField("content-type", "application/json"),
          HTTPField("authorization", "Bearer sk-own"), HTTPField("Accept", "*/*"),
          HTTPField("X-Team", "red"),
          HTTPField("x-client-request-id", "0123456789abcdef0123456789abcdef"),
        ])
      #expect((try? JSON(parsing: sent.body))?["model"] == "m")
    }
  }
}
