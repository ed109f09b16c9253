// Contract: the same answer however the bytes are split and whatever a compatible server does
// differently; a stream that stops early is never taken for a whole answer; nothing a server
// sends stops the program.
import Base
import Events
import HTTP
import Providers
import Testing

/// Feeds a whole transcript through both decoders.
struct StreamRun {
  var text = ""
  var failure: TurnFailure?
  var isDone = false
  var outcome: Result<ChatCompletion, TurnFailure>

  init(_ transcript: [UInt8], pieces: (Int) -> Int = { _ in Int.max }) {
    var decoder = SSEDecoder()
    var stream = ChatCompletionStream(
      normalizer: ErrorNormalizer(provider: "p"), callIDPrefix: "minted_")
    var text = ""
    var failure: TurnFailure?
    var isDone = false
    var at = 0
    while at < transcript.count, failure == nil {
      let end = min(transcript.count, at + min(pieces(at), transcript.count))
      Array(transcript[at..<end]).withUnsafeBytes { bytes in
        try? decoder.feed(bytes) { event in
          guard failure == nil else { return }
          switch stream.consume(event.data) {
          case .none: break
          case .text(let piece): text += piece
          case .done: isDone = true
          case .failed(let found): failure = found
          }
        }
      }
      at = end
    }
    self.text = text
    self.failure = failure
    self.isDone = isDone
    outcome = failure.map { .failure($0) } ?? stream.completion(markSeen: isDone)
  }

  init(_ transcript: String, pieces: (Int) -> Int = { _ in Int.max }) {
    self.init(Array(transcript.utf8), pieces: pieces)
  }

  var answer: ChatCompletion? { try? outcome.get() }
  var code: ErrorCode? { if case .failure(let failure) = outcome { failure.code } else { nil } }
}

@Suite struct ChatCompletionStreamTests {
  static let words = ["Sun", "", "ny ", "naïve ", "東京 ", "🦊", "\"q\"\n", "\\", "\u{7F}", "end"]
  static let transcript = Chunks.answer(words)
  static let expected = ChatCompletion(
    text: words.joined(), toolCalls: [], finishReason: "stop",
    tokens: TokenCounts(input: 21, output: 3, cached: 8))

  @Test func wholeInOneRead() {
    let run = StreamRun(Self.transcript)
    #expect(run.answer == Self.expected && run.text == Self.expected.text && run.isDone)
  }

  @Test func anySplitGivesTheSameAnswer() {
    #expect(StreamRun(Self.transcript, pieces: { _ in 1 }).answer == Self.expected)
    let bytes = Array(Self.transcript.utf8)
    for cut in 1..<bytes.count {
      let run = StreamRun(bytes) { $0 == 0 ? cut : Int.max }
      #expect(run.answer == Self.expected, "split at \(cut)")
    }
    let random = SeededRandom(seed: 3)
    for _ in 0..<200 {
      let run = StreamRun(bytes) { _ in Int(random.next(below: 40)) + 1 }
      #expect(run.answer == Self.expected)
    }
  }

  @Test func aStreamCutAtAnyByteIsWholeOrCutNeverWrong() {
    let bytes = Array(Self.transcript.utf8)
    // The end of the chunk that holds the finish reason.
    let finished = Array(
      (Chunks.role + Self.words.map { Chunks.text($0) }.joined() + Chunks.stop).utf8
    ).count
    for length in 0..<bytes.count {
      let run = StreamRun(Array(bytes[..<length]))
      if length >= finished {
        #expect(run.answer?.text == Self.expected.text, "cut at \(length)")
      } else {
        #expect(run.code == .providerStreamCut, "cut at \(length)")
        #expect(Self.expected.text.hasPrefix(run.text))
      }
    }
  }

  @Test func otherLineEndsAndCommentsAreTheSame() {
    let crlf = Self.transcript.replacing("\n", with: "\r\n")
    #expect(StreamRun(crlf).answer == Self.expected)
    let tight = Self.transcript.replacing("data: ", with: "data:")
    #expect(StreamRun(tight).answer == Self.expected)
    let commented =
      ": OPENROUTER PROCESSING\n\n"
      + Self.transcript.replacing(
        "\n\n", with: "\n\n: keep-alive\n\n")
    #expect(StreamRun(commented).answer == Self.expected)
  }

  @Test func everyByteDamagedStopsNothing() {
    let bytes = Array(Self.transcript.utf8)
    let random = SeededRandom(seed: 11)
    for at in bytes.indices {
      var damaged = bytes
      damaged[at] = UInt8(truncatingIfNeeded: random.next())
      let run = StreamRun(damaged)
      // Whole, cut or refused: all are allowed, a trap is not.
      _ = run.outcome
    }
  }

  @Test(arguments: [
    "data: {\"choices\": [{\"delta\": {\"content\": \"x\n\n",
    "data: not json\n\n", "data: \n\n", "data: []\n\n", "data: 7\n\n", "data: {\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":7}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\x\"}}]}\n\n",
  ])
  func brokenChunksAreAProtocolError(_ chunk: String) {
    let run = StreamRun(Chunks.text("a") + chunk + Chunks.stop)
    #expect(run.code == .providerProtocol)
    #expect(run.failure?.retryable == true)
    #expect(run.text == "a")
  }

  @Test func invalidUTF8IsAProtocolError() {
    let bytes =
      Array(Chunks.text("a").utf8) + Array("data: {\"choices\":[{\"delta\":{\"content\":\"".utf8)
      + [0xC3, 0x28] + Array("\"}}]}\n\n".utf8)
    #expect(StreamRun(bytes).code == .providerProtocol)
  }

  @Test func whatIsUnknownIsIgnored() {
    let transcript =
      "event: message\nid: 7\nretry: 10\n"
      + #"data: {"x":[{"y":"}"}],"choices":null,"usage":null,"error":null}"# + "\n\n"
      + Chunks.delta(#"{"content":null,"reasoning_content":"hm","reasoning":"hm","z":{}}"#)
      + Chunks.delta(#"{"role":"assistant","content":"ok"}"#, finish: #""brand_new""#)
      + "data: {\"choices\":[]}\n\n" + "data: {}\n\n" + Chunks.done
    let run = StreamRun(transcript)
    #expect(run.answer?.text == "ok" && run.answer?.finishReason == "stop")
    #expect(run.answer?.tokens == nil)
  }

  @Test(arguments: [
    (#""stop""#, "stop"), (#""length""#, "length"), (#""max_tokens""#, "length"),
    (#""content_filter""#, "content_filter"), (#""eos""#, "stop"),
  ])
  func finishReasons(_ sent: String, _ reason: String) {
    let run = StreamRun(Chunks.text("a") + Chunks.delta("{}", finish: sent))
    #expect(run.answer?.finishReason == reason)
  }

  @Test func theLastUsageHolds() {
    func usage(_ tokens: Int) -> String {
      #"data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"#
        + #""usage":{"prompt_tokens":9,"completion_tokens":\#(tokens),"#
        + #""completion_tokens_details":null}}"#
        + "\n\n"
    }
    let run = StreamRun(usage(1) + usage(2) + usage(3))
    #expect(run.answer?.tokens == TokenCounts(input: 9, output: 3, cached: 0))
  }

  @Test(arguments: ["-1", "1.5", "\"7\"", "99999999999999999999", "null", "1099511627776"])
  func countsThatAreNoneAreIgnored(_ count: String) {
    let chunk =
      #"data: {"choices":[],"usage":{"prompt_tokens":\#(count),"completion_tokens":3}}"# + "\n\n"
    #expect(StreamRun(Chunks.stop + chunk).answer?.tokens == nil)
  }

  @Test func anErrorInsideTheStream() {
    let run = StreamRun(
      Chunks.text("a") + #"data: {"error":{"message":"Overloaded","code":529}}"# + "\n\n")
    #expect(run.code == .providerOverloaded)
    #expect(run.failure?.message.contains("Overloaded") == true)
  }

  @Test func aRefusalIsContentPolicy() {
    let run = StreamRun(
      Chunks.delta(#"{"refusal":"I cannot "}"#) + Chunks.delta(#"{"refusal":"do that."}"#)
        + Chunks.stop)
    #expect(
      run.outcome
        == .failure(
          TurnFailure(.contentPolicy, "p: the model refused: I cannot do that.")))
  }

  @Test func doneWithoutAReasonIsAnEnd() {
    #expect(StreamRun(Chunks.text("a") + Chunks.done).answer?.text == "a")
    #expect(StreamRun(Chunks.text("a")).code == .providerStreamCut)
    #expect(StreamRun("").code == .providerStreamCut)
  }

  @Test func aWholeAnswerIsReadToo() {
    let body =
      #"{"id":"1","choices":[{"index":0,"finish_reason":"tool_calls","#
      + #""message":{"role":"assistant","content":null,"tool_calls":["#
      + #"{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},"#
      + #"{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":1}"}}]}}],"#
      + #""usage":{"prompt_tokens":1,"completion_tokens":2}}"#
    let run = StreamRun("data: \(body)\n\n")
    #expect(
      run.answer?.toolCalls == [
        ToolCall(id: "a", name: "f", arguments: "{}"),
        ToolCall(id: "b", name: "g", arguments: #"{"x":1}"#),
      ])
  }
}

@Suite struct ToolCallStreamTests {
  private func fragment(_ json: String) -> String { Chunks.delta(#"{"tool_calls":[\#(json)]}"#) }
  private let finish = Chunks.delta("{}", finish: #""tool_calls""#)

  @Test func fragmentsInterleaveByIndex() {
    let run = StreamRun(
      fragment(
        #"{"index":0,"id":"call_1","type":"function","function":{"name":"get","arguments":""}}"#)
        + fragment(
          #"{"index":1,"id":"call_2","type":"function","function":{"name":"put","arguments":""}}"#)
        + fragment(#"{"index":0,"function":{"arguments":"{\"city\":"}}"#)
        + fragment(
          #"{"index":1,"function":{"arguments":"{\"a\""}},{"index":0,"function":{"arguments":"\"Zü"}}"#
        )
        + fragment(#"{"index":1,"function":{"arguments":":1}"}}"#)
        + fragment(#"{"index":0,"function":{"arguments":"rich\"}"}}"#) + finish + Chunks.done)
    #expect(
      run.answer?.toolCalls == [
        ToolCall(id: "call_1", name: "get", arguments: #"{"city":"Zürich"}"#),
        ToolCall(id: "call_2", name: "put", arguments: #"{"a":1}"#),
      ])
    #expect(run.answer?.finishReason == "tool_calls")
  }

  @Test func missingIndexAndIDAreMadeUp() {
    let run = StreamRun(
      fragment(#"{"function":{"name":"f","arguments":"{\"x\":1}"}},{"function":{"name":"g"}}"#)
        + Chunks.stop)
    #expect(
      run.answer?.toolCalls == [
        ToolCall(id: "minted_0", name: "f", arguments: #"{"x":1}"#),
        ToolCall(id: "minted_1", name: "g", arguments: "{}"),
      ])
    // "stop" although there are calls.
    #expect(run.answer?.finishReason == "tool_calls")
  }

  @Test func twoCallsUnderOneIndexAreTwoCalls() {
    let run = StreamRun(
      fragment(#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#)
        + fragment(#"{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\""}}"#)
        + fragment(#"{"index":0,"function":{"arguments":":2}"}}"#) + finish)
    #expect(
      run.answer?.toolCalls == [
        ToolCall(id: "a", name: "f", arguments: "{}"),
        ToolCall(id: "b", name: "g", arguments: #"{"y":2}"#),
      ])
  }

  @Test func theIDRepeatedInEveryFragmentIsOneCall() {
    let run = StreamRun(
      fragment(#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#)
        + fragment(#"{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}"#) + finish)
    #expect(run.answer?.toolCalls == [ToolCall(id: "a", name: "f", arguments: "{}")])
  }

  @Test func argumentsThatAreWrongArePassedOnForTheEngineToJudge() {
    let run = StreamRun(
      fragment(#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\": oops"}}"#) + finish
    )
    #expect(run.answer?.toolCalls.first?.arguments == #"{"x": oops"#)
  }

  @Test func argumentsGivenAsAnObject() {
    let run = StreamRun(
      fragment(#"{"id":"a","function":{"name":"f","arguments":{"x":[1]}}}"#) + finish)
    #expect(run.answer?.toolCalls.first?.arguments == #"{"x":[1]}"#)
  }

  @Test func tooManyCallsAreRefused() {
    var transcript = ""
    for index in 0...ChatCompletionStream.toolCallsMax {
      transcript += fragment(#"{"index":\#(index),"id":"c\#(index)","function":{"name":"f"}}"#)
    }
    let run = StreamRun(transcript + finish)
    #expect(run.code == .providerProtocol)
    #expect(run.failure?.retryable == false)
  }

  @Test func tooLongArgumentsAreRefused() {
    let piece = String(repeating: "a", count: 300_000)
    let part = fragment(#"{"index":0,"id":"a","function":{"name":"f","arguments":"\#(piece)"}}"#)
    #expect(StreamRun(part + part + part + finish).code == nil)
    #expect(StreamRun(part + part + part + part + finish).code == .providerProtocol)
  }

  /// Answer and arguments go into one record of the log, however they are spread over calls.
  @Test func tooLongArgumentsOfManyCallsAreRefused() {
    let piece = String(repeating: "a", count: 300_000)
    let parts = (0..<4).map { index in
      fragment(
        #"{"index":\#(index),"id":"c\#(index)","function":{"name":"f","arguments":"\#(piece)"}}"#)
    }
    #expect(StreamRun(parts.prefix(3).joined() + finish).code == nil)
    #expect(StreamRun(parts.joined() + finish).code == .providerProtocol)
  }

  @Test func tooLongAnswersAreRefused() {
    let part = Chunks.text(String(repeating: "a", count: 400_000))
    #expect(StreamRun(part + part + Chunks.stop).code == nil)
    let run = StreamRun(part + part + part + Chunks.stop)
    #expect(run.code == .providerProtocol)
    #expect(run.failure?.retryable == false)
  }
}
