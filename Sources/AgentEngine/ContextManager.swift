import Base
package import Events

/// Assembles what a model is shown: the pack's prompt, passages of its knowledge, a window over the
/// session's history, the message, and what the turn's own steps said so far.
package struct ContextManager {
  /// One earlier turn of the session, as messages.
  package typealias Exchange = [ChatMessage]

  /// Of a prompt with a limit, the share that passages may take of what the pack's prompt and the
  /// message leave; history gets the rest.
  static let passageShare = 0.7

  private let historyTokens: Int

  package init(historyTokens: Int) { self.historyTokens = historyTokens }

  /// An estimate: real tokenizers differ by model, and 3.5 bytes a token errs on the safe side for
  /// prose.
  package static func tokens(in text: String) -> Int { text.utf8.count * 2 / 7 + 1 }

  /// Messages for the LLM step `step` of `turn`. `history` is oldest first.
  package func messages(
    for step: PlannedStep, of turn: TurnMachine, history: [Exchange], promptTokensMax: Int?
  ) -> [ChatMessage] {
    let passages = Self.admitted(
      turn.passages, for: turn, promptTokensMax: promptTokensMax)
    let system = Self.systemMessage(turn.personality.systemPrompt, passages)
    let own = ownMessages(upTo: step, of: turn)
    let spent = Self.tokens(in: system) + own.reduce(0) { $0 + Self.tokens(in: $1.text) }
    var budget = turn.personality.historyTokens ?? historyTokens
    if let promptTokensMax { budget = min(budget, promptTokensMax - spent) }
    let window = Self.window(over: history, tokens: budget)
    return [ChatMessage(.system, system)] + window.flatMap { $0 } + own
  }

  /// How many tokens of history can matter, so that no more is loaded.
  package func historyBudget(of personality: Personality) -> Int {
    personality.historyTokens ?? historyTokens
  }

  /// The newest whole exchanges that fit into `tokens`, oldest first.
  static func window(over history: [Exchange], tokens: Int) -> [Exchange] {
    var left = tokens
    var start = history.count
    while start > 0 {
      let cost = history[start - 1].reduce(0) { $0 + Self.tokens(in: $1.text) }
      guard cost <= left else { break }
      left -= cost
      start -= 1
    }
    return Array(history[start...])
  }

  /// The passages that the prompt shows, best first; they are also the answer's sources. It does
  /// not depend on history, so that it can be told again when the turn ends.
  package static func admitted(
    _ passages: [Passage], for turn: TurnMachine, promptTokensMax: Int? = nil
  ) -> [Passage] {
    guard let promptTokensMax = promptTokensMax ?? turn.promptTokensMax else { return passages }
    let fixed = tokens(in: turn.personality.systemPrompt) + tokens(in: turn.request.userMessage)
    var left = Int(Double(promptTokensMax - fixed) * passageShare)
    return passages.filter { passage in
      let cost = tokens(in: passageText(passage, number: 1))
      guard cost <= left else { return false }
      left -= cost
      return true
    }
  }

  private static func systemMessage(_ prompt: String, _ passages: [Passage]) -> String {
    guard !passages.isEmpty else { return prompt }
    var text = prompt
    text += "\n\nPassages from your knowledge. Answer from them and name the document.\n"
    for (index, passage) in passages.enumerated() {
      text += passageText(passage, number: index + 1)
    }
    return text
  }

  private static func passageText(_ passage: Passage, number: Int) -> String {
    let heading = passage.heading.map { " (\($0))" } ?? ""
    return "\n[\(number)] \(passage.document)\(heading)\n\(passage.text)\n"
  }

  /// The user's message, and what the steps before `step` have said.
  private func ownMessages(upTo step: PlannedStep, of turn: TurnMachine) -> [ChatMessage] {
    var messages = [ChatMessage(.user, turn.request.userMessage)]
    for earlier in turn.steps where earlier.planned.index < step.index {
      switch earlier.outcome?.output {
      case .message(let text, let calls, _, _):
        messages.append(ChatMessage(.assistant, text, toolCalls: calls))
      case .toolResult(let id, let content):
        messages.append(ChatMessage(.tool, content, toolCallID: id))
      default: break
      }
    }
    if let reason = step.parameters["repair"]?.string {
      messages.append(
        ChatMessage(.user, "\(reason). Answer again with JSON that fits the schema, and only that.")
      )
    }
    return messages
  }
}
