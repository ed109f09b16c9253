import Base
package import Events

/// Token counts as a provider reported them.
package struct TokenCounts: Hashable, Sendable {
  package var input: Int
  package var output: Int
  /// Part of `input`.
  package var cached: Int

  package init(input: Int, output: Int, cached: Int) {
    self.input = input
    self.output = output
    self.cached = cached
  }
}

/// A whole answer.
package struct ChatCompletion: Hashable, Sendable {
  package var text: String
  package var toolCalls: [ToolCall]
  /// `stop`, `length`, `tool_calls` or `content_filter`.
  package var finishReason: String
  /// Nil when the provider sent none.
  package var tokens: TokenCounts?

  package init(
    text: String, toolCalls: [ToolCall], finishReason: String, tokens: TokenCounts?
  ) {
    self.text = text
    self.toolCalls = toolCalls
    self.finishReason = finishReason
    self.tokens = tokens
  }
}

/// Reads the data of Chat Completions' stream, chunk by chunk, without a JSON tree per token. It
/// takes what compatible servers do differently (role in every chunk, null content, whole tool
/// calls in one fragment, missing indexes and ids, cumulative usage, no `[DONE]`), and it also
/// reads a whole answer that came unstreamed, whose choices have a `message` instead of a `delta`.
package struct ChatCompletionStream {
  /// Bytes of text in one answer; a model writes some 500 KiB at most today. With every byte
  /// escaped six times over as JSON it still fits into a record of the log.
  package static let textBytesMax = 1 << 20
  /// Tool calls in one answer; vendors stop at 128.
  package static let toolCallsMax = 128
  /// Bytes of the arguments of all calls in one answer.
  package static let argumentsBytesMax = 1 << 20

  package enum Event: Equatable {
    /// Nothing to show: role, usage, tool fragments, unknown members.
    case none
    case text(String)
    /// `[DONE]`.
    case done
    case failed(TurnFailure)
  }

  private let normalizer: ErrorNormalizer
  /// Begins the ids of calls that came without one.
  private let callIDPrefix: String
  private var text = ""
  private var refusal = ""
  private var calls: [CallBuilder] = []
  private var argumentsBytes = 0
  private var finishReason: String?
  private var tokens: TokenCounts?

  private struct CallBuilder {
    var index: Int64
    var id = ""
    var name = ""
    var arguments = ""
  }

  package init(normalizer: ErrorNormalizer, callIDPrefix: String) {
    self.normalizer = normalizer
    self.callIDPrefix = callIDPrefix
  }

  /// Whether the model has said that it is finished; only usage may follow.
  package var hasFinished: Bool { finishReason != nil }

  /// The text so far.
  package var textSoFar: String { text }

  /// Reads one event's data.
  package mutating func consume(_ payload: UnsafeRawBufferPointer) -> Event {
    if Self.isDoneMark(payload) { return .done }
    let scanner = JSONScanner(payload)
    var event = Event.none
    var choices: Range<Int>?
    var usage: Range<Int>?
    var error: Range<Int>?
    let isWhole = scanner.members(in: 0..<payload.count) { name, value in
      if scanner.matches(name, "choices") {
        choices = value
      } else if scanner.matches(name, "usage") {
        usage = value
      } else if scanner.matches(name, "error") {
        error = value
      }
      return true
    }
    guard isWhole else { return .failed(broken("a chunk that is no whole JSON object")) }
    if let error, !scanner.isNull(error) { return .failed(reported(payload, error)) }
    if let usage { readUsage(scanner, usage) }
    if let choices { event = readChoices(scanner, choices) }
    return event
  }

  /// The answer, once the stream has ended. Fails when the model never said it was finished
  /// (`provider_stream_cut`), or refused.
  package func completion(markSeen: Bool) -> Result<ChatCompletion, TurnFailure> {
    guard finishReason != nil || markSeen else {
      return .failure(
        normalizer.failure(
          .providerStreamCut, "the stream ended before the model had finished"))
    }
    if text.isEmpty, calls.isEmpty, !refusal.isEmpty {
      return .failure(normalizer.failure(.contentPolicy, "the model refused: \(refusal)"))
    }
    let toolCalls = calls.enumerated().map { position, call in
      ToolCall(
        id: call.id.isEmpty ? "\(callIDPrefix)\(position)" : call.id, name: call.name,
        arguments: call.arguments.isEmpty ? "{}" : call.arguments)
    }
    return .success(
      ChatCompletion(
        text: text, toolCalls: toolCalls, finishReason: normalizedReason(toolCalls),
        tokens: tokens))
  }

  private func normalizedReason(_ toolCalls: [ToolCall]) -> String {
    // Some servers say "stop" although they sent calls.
    guard toolCalls.isEmpty else { return "tool_calls" }
    switch finishReason {
    case "length", "max_tokens": return "length"
    case "content_filter": return "content_filter"
    default: return "stop"
    }
  }

  private static func isDoneMark(_ payload: UnsafeRawBufferPointer) -> Bool {
    var end = payload.count
    while end > 0, payload[end - 1] <= 0x20 { end -= 1 }
    return JSONScanner(payload).matches(0..<end, "[DONE]")
  }
}

// MARK: - Members of a chunk

extension ChatCompletionStream {
  private mutating func readChoices(_ scanner: JSONScanner, _ choices: Range<Int>) -> Event {
    var event = Event.none
    scanner.items(in: choices) { choice in
      event = readChoice(scanner, choice)
      // One choice is asked for; a second one would be another answer.
      return false
    }
    return event
  }

  private mutating func readChoice(_ scanner: JSONScanner, _ choice: Range<Int>) -> Event {
    var delta: Range<Int>?
    var reason: Range<Int>?
    scanner.members(in: choice) { name, value in
      if scanner.matches(name, "delta") || scanner.matches(name, "message") {
        delta = value
      } else if scanner.matches(name, "finish_reason") {
        reason = value
      }
      return true
    }
    if let reason, let text = scanner.string(reason), !text.isEmpty { finishReason = text }
    return delta.map { readDelta(scanner, $0) } ?? .none
  }

  private mutating func readDelta(_ scanner: JSONScanner, _ delta: Range<Int>) -> Event {
    var content: Range<Int>?
    var toolCalls: Range<Int>?
    var refusal: Range<Int>?
    scanner.members(in: delta) { name, value in
      if scanner.matches(name, "content") {
        content = value
      } else if scanner.matches(name, "tool_calls") {
        toolCalls = value
      } else if scanner.matches(name, "refusal") {
        refusal = value
      }
      return true
    }
    if let refusal, let words = scanner.string(refusal) { addRefusal(words) }
    if let toolCalls, let failure = readToolCalls(scanner, toolCalls) { return .failed(failure) }
    guard let content, !scanner.isNull(content) else { return .none }
    return readContent(scanner, content)
  }

  private mutating func readContent(_ scanner: JSONScanner, _ content: Range<Int>) -> Event {
    guard let piece = scanner.string(content) else {
      return .failed(broken("content that is no UTF-8 string"))
    }
    guard !piece.isEmpty else { return .none }
    guard text.utf8.count + piece.utf8.count <= Self.textBytesMax else {
      return .failed(tooMuch("an answer of more than \(Self.textBytesMax) bytes"))
    }
    text += piece
    return .text(piece)
  }

  private mutating func addRefusal(_ words: String) {
    if refusal.utf8.count < SecretScrubber.textBytesMax { refusal += words }
  }

  private mutating func readUsage(_ scanner: JSONScanner, _ usage: Range<Int>) {
    guard let input = count("prompt_tokens", scanner, usage),
      let output = count("completion_tokens", scanner, usage)
    else { return }
    let details = scanner.member("prompt_tokens_details", in: usage)
    let cached = details.flatMap { count("cached_tokens", scanner, $0) } ?? 0
    // Counts are cumulative where they come more than once: the last one holds.
    tokens = TokenCounts(input: input, output: output, cached: min(cached, input))
  }

  private func count(
    _ name: StaticString, _ scanner: JSONScanner, _ range: Range<Int>
  ) -> Int? {
    guard let value = scanner.member(name, in: range).flatMap(scanner.integer), value >= 0,
      // No real count comes near this; sums of such counts stay far from overflow.
      value < 1 << 40
    else { return nil }
    return Int(value)
  }
}

// MARK: - Tool calls

extension ChatCompletionStream {
  private mutating func readToolCalls(
    _ scanner: JSONScanner, _ fragments: Range<Int>
  ) -> TurnFailure? {
    var failure: TurnFailure?
    var position: Int64 = 0
    scanner.items(in: fragments) { fragment in
      failure = readFragment(scanner, fragment, position: position)
      position += 1
      return failure == nil
    }
    return failure
  }

  private mutating func readFragment(
    _ scanner: JSONScanner, _ fragment: Range<Int>, position: Int64
  ) -> TurnFailure? {
    let index = scanner.member("index", in: fragment).flatMap(scanner.integer) ?? position
    let id = scanner.member("id", in: fragment).flatMap(scanner.string) ?? ""
    let function = scanner.member("function", in: fragment)
    let name =
      function.flatMap { scanner.member("name", in: $0) }.flatMap(scanner.string) ?? ""
    let at = builder(index: index, id: id, name: name)
    guard calls.count <= Self.toolCallsMax else {
      return tooMuch("more than \(Self.toolCallsMax) tool calls")
    }
    if calls[at].id.isEmpty { calls[at].id = id }
    if calls[at].name.isEmpty { calls[at].name = name }
    guard let function, let arguments = scanner.member("arguments", in: function),
      !scanner.isNull(arguments)
    else { return nil }
    return append(arguments, scanner, to: at)
  }

  /// The call a fragment belongs to: that of its index, unless a second call begins under the
  /// same index, as servers do that number nothing.
  private mutating func builder(index: Int64, id: String, name: String) -> Int {
    if let at = calls.lastIndex(where: { $0.index == index }) {
      let begins = !name.isEmpty && !id.isEmpty && !calls[at].id.isEmpty && calls[at].id != id
      if !begins { return at }
    }
    calls.append(CallBuilder(index: index))
    return calls.count - 1
  }

  private mutating func append(
    _ arguments: Range<Int>, _ scanner: JSONScanner, to at: Int
  ) -> TurnFailure? {
    // A string that holds JSON; some servers send the object itself.
    let isObject = scanner.bytes[arguments.lowerBound] == UInt8(ascii: "{")
    let piece =
      isObject
      ? JSONText.validated(scanner.bytes[arguments]) : scanner.string(arguments)
    guard let piece else { return broken("tool arguments that are no UTF-8 string") }
    argumentsBytes += piece.utf8.count
    guard argumentsBytes <= Self.argumentsBytesMax else {
      return tooMuch("tool arguments of more than \(Self.argumentsBytesMax) bytes")
    }
    calls[at].arguments += piece
    return nil
  }

  private func reported(
    _ payload: UnsafeRawBufferPointer, _ error: Range<Int>
  ) -> TurnFailure {
    guard let json = try? JSON(parsing: UnsafeRawBufferPointer(rebasing: payload[error])) else {
      return broken("an error that is no JSON")
    }
    return normalizer.failure(inStream: json)
  }

  private func broken(_ what: String) -> TurnFailure {
    normalizer.failure(.providerProtocol, "the stream holds \(what)")
  }

  /// Asking again would only bring as much again.
  private func tooMuch(_ what: String) -> TurnFailure {
    normalizer.failure(.providerProtocol, "the stream holds \(what)", retryable: false)
  }
}
