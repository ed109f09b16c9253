package import Base
import Events

/// One event of a turn's stream as it came.
package struct ReceivedEvent {
  package var name: String
  /// Nil when the event had none of its own.
  package var id: String?
  package var data: JSON

  package init(name: String, id: String?, data: JSON) {
    self.name = name
    self.id = id
    self.data = data
  }
}

/// What a reader keeps of a turn's stream (SEMANTICS D20: records by position, resets void, lower
/// attempts are dropped) and what of it is shown when. Inputs are events, outputs are actions.
///
/// What stands on standard output since its last break is the answer at the end: on a terminal the
/// text is shown as it comes, and what turns out void is broken off; anything else gets the text
/// of the step that the terminal names, once it cannot change any more.
package struct AnswerStream {
  package enum Manner { case live, whole }

  package enum Action: Equatable {
    case write(String)
    /// Ends the line; what was shown before is not the answer.
    case breakOff(notice: String?)
    case ended(TurnEnd)
  }

  private struct Piece {
    var sequence: UInt64
    var step: String
    var text: String
  }

  private let manner: Manner
  private var pieces: [Piece] = []
  private var highestAttempt: UInt64?
  /// What stands on the output since its last break, and the step it is from.
  private var line = ""
  private var lineStep = ""

  /// Known from the first event on.
  package private(set) var turnID: String?
  /// Where to attach again.
  package private(set) var lastEventID: String?

  package init(_ manner: Manner) { self.manner = manner }

  package mutating func receive(_ event: ReceivedEvent) -> [Action] {
    turnID = turnID ?? event.data["turn_id"]?.string
    let position = event.id.flatMap { StreamPosition($0) }
    if let position {
      if let highestAttempt, position.attempt < highestAttempt { return [] }
      highestAttempt = position.attempt
      lastEventID = event.id
    }
    switch event.name {
    case "delta": return delta(event.data, position)
    case "reset": return reset(event.data, hasPosition: position != nil)
    default:
      guard let end = TurnEnd(event: event.name, data: event.data) else { return [] }
      return finish(end)
    }
  }

  private mutating func delta(_ data: JSON, _ position: StreamPosition?) -> [Action] {
    guard let text = data["text"]?.string, let position else { return [] }
    let step = data["step_id"]?.string ?? ""
    pieces.append(Piece(sequence: position.sequence, step: step, text: text))
    guard manner == .live, !text.isEmpty else { return [] }
    var actions: [Action] = []
    if step != lineStep, !line.isEmpty {
      // Text of an earlier step stays its own.
      actions.append(breakOff())
    }
    lineStep = step
    line += text
    actions.append(.write(text))
    return actions
  }

  private mutating func reset(_ data: JSON, hasPosition: Bool) -> [Action] {
    guard let first = data["discard_from"]?.int else { return [] }
    if !hasPosition { highestAttempt = nil }
    let hadShown =
      !line.isEmpty
      && pieces.contains { $0.sequence >= first && $0.step == lineStep && !$0.text.isEmpty }
    pieces.removeAll { $0.sequence >= first }
    guard hadShown else { return [] }
    var actions = [breakOff(notice: "part of the answer is void; it goes on from what stands")]
    let standing = text(of: lineStep)
    if !standing.isEmpty {
      line = standing
      actions.append(.write(standing))
    }
    return actions
  }

  private mutating func finish(_ end: TurnEnd) -> [Action] {
    var actions: [Action] = []
    if let answer = end.answer, answer != line {
      if !line.isEmpty { actions.append(breakOff()) }
      line = answer
      if !answer.isEmpty { actions.append(.write(answer)) }
    }
    if let last = line.last, !last.isNewline { actions.append(.write("\n")) }
    return actions + [.ended(end)]
  }

  private mutating func breakOff(notice: String? = nil) -> Action {
    line = ""
    return .breakOff(notice: notice)
  }

  private func text(of step: String) -> String {
    pieces.filter { $0.step == step }.map(\.text).joined()
  }
}
