package import Base
package import Events

/// Answers without a model: with the passages of the pack's knowledge that fit the question,
/// quoted and named, and it says so. What a fresh machine has when nothing else can answer.
package final class ExtractiveProvider: ModelProvider {
  package static let model = "passages"
  /// Passages quoted in one answer; more is a list, not an answer.
  package static let passagesMax = 3

  package let name: String
  package let models: [String]
  package let profile = ModelProfile(promptTokensMax: nil, supportsTools: false)
  private let timers: any TimerService

  /// `models` may give the one it has another name.
  package init(name: String, models: [String] = [], timers: any TimerService) {
    self.name = name
    self.models = models.isEmpty ? [Self.model] : models
    self.timers = timers
  }

  package func call(
    _ request: GenerateRequest, model: String, sink: @escaping (CallEvent) -> Void
  ) -> any Cancellable {
    let began = timers.clock.monotonic()
    guard request.responseSchema == nil else {
      let failure = TurnFailure(
        .providerInvalidRequest,
        "\(name) quotes passages and cannot fill a response_schema; configure a language model")
      return DeltaScript(
        timers: timers, steps: [(.zero, { sink(.failed(CallFailure(failure))) })])
    }
    let pieces = Self.answer(to: request)
    let text = pieces.joined()
    var steps = pieces.map { piece in (Nanoseconds.zero, { sink(.delta(piece)) }) }
    steps.append(
      (
        .zero,
        { [timers] in
          var usage = Usage()
          usage.tokensIn = TokenEstimator.tokens(of: request)
          usage.tokensOut = TokenEstimator.tokens(of: text)
          usage.estimated = true
          usage.providerTime = timers.clock.monotonic() - began
          sink(
            .finished(
              CallResult(text: text, toolCalls: [], finishReason: "stop", usage: usage)))
        }
      ))
    return DeltaScript(timers: timers, steps: steps)
  }

  /// The answer in the pieces it is streamed in.
  static func answer(to request: GenerateRequest) -> [String] {
    let question = request.messages.last { $0.role == .user }?.text ?? ""
    let passages = request.passages.filter { !$0.text.isEmpty }
    guard !passages.isEmpty else {
      return [
        "No language model is configured on this node, ",
        "and no passage of this personality's knowledge fits the question, ",
        "so there is nothing to quote.",
      ]
    }
    let intro =
      "No language model is configured on this node; these passages of its knowledge fit best:"
    let quotes = passages.prefix(passagesMax).map { passage in
      let place = passage.heading.map { "\(passage.document), “\($0)”" } ?? passage.document
      return "\n\n> \(PassageQuote.best(of: passage.text, for: question))\n— \(place)"
    }
    return [intro] + quotes
  }
}
