package import Base

/// How a turn ended: its terminal event.
package struct TurnEnd: Equatable {
  /// `turn.completed`, …
  package var event: String
  package var data: JSON

  /// Nil for an event that ends no turn.
  package init?(event: String, data: JSON) {
    switch event {
    case "turn.completed", "turn.failed", "turn.cancelled", "turn.merged": break
    default: return nil
    }
    self.event = event
    self.data = data
  }

  package var answer: String? { data["answer"]?.string }

  package var exitCode: ExitCode {
    switch event {
    case "turn.completed", "turn.merged": .ok
    default: data["error"]?["code"]?.string == "deadline_exceeded" ? .deadline : .turnFailed
    }
  }

  /// What `--json` prints: the terminal's data and the event's name.
  package var json: JSON {
    var object: JSONObject = ["event": .string(event)]
    for member in data.object?.members ?? [] { object[member.name] = member.value }
    return .object(object)
  }

  /// For people; nil when nothing went wrong.
  var complaint: String? {
    guard exitCode != .ok else { return nil }
    let what = event == "turn.cancelled" ? "was cancelled" : "failed"
    let error = data["error"].map { ": \(TurnReport.describe(error: $0))" } ?? ""
    return "the turn \(what)\(error)"
  }
}
