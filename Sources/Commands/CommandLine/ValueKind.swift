import Base
import Events

/// What an argument or a flag's value is: decides how it is checked, shown and completed.
package enum ValueKind: Sendable, Hashable {
  /// Any text, not empty; with the name it has in help.
  case text(String)
  case integer(String, ClosedRange<Int>)
  /// Times a second, above 0.
  case rate
  case duration
  case choice([String])
  case file
  case directory
  case topic
  /// `first`, `last` or an offset.
  case start
  /// A turn's id.
  case turn

  /// How it stands in usage lines.
  var placeholder: String {
    switch self {
    case .text(let name), .integer(let name, _): name
    case .rate: "RATE"
    case .duration: "DURATION"
    case .choice(let names): names.joined(separator: "|")
    case .file: "FILE"
    case .directory: "DIR"
    case .topic: "TOPIC"
    case .start: "first|last|OFFSET"
    case .turn: "TURN"
    }
  }

  /// Nil when `text` is one; else what was expected.
  func objection(to text: String) -> String? {
    switch self {
    case .text, .file, .directory: text.isEmpty ? "some text" : nil
    case .integer(_, let range):
      Int(text).map(range.contains) ?? false ? nil : Self.describe(range)
    case .rate:
      Double(text).map { $0 > 0 && $0 <= Self.rateMax } ?? false
        ? nil : "a number above 0, at most \(Int(Self.rateMax))"
    case .duration:
      Nanoseconds(duration: text) == nil ? "a duration such as 250ms, 30s or 5m" : nil
    case .choice(let names): names.contains(text) ? nil : "one of \(names.joined(separator: ", "))"
    case .topic:
      Topic(path: text) == nil ? "a topic; `kfm topics list` has them" : nil
    case .start:
      text == "first" || text == "last" || UInt64(text) != nil ? nil : "first, last or an offset"
    case .turn: ULID(text) == nil ? "a turn's id, 26 letters and digits" : nil
    }
  }

  /// Words that a shell can offer; none where only the user knows.
  var candidates: [String] {
    switch self {
    case .choice(let names): names
    case .topic: Topic.allCases.map(Self.path(of:))
    case .start: ["first", "last"]
    default: []
    }
  }

  /// Turns a second that one loop can start evenly.
  static let rateMax = 100_000.0

  /// The command line leaves `agent/` out.
  static func path(of topic: Topic) -> String {
    topic.hasShortName ? topic.name : "\(topic.stream)/\(topic.name)"
  }

  private static func describe(_ range: ClosedRange<Int>) -> String {
    range.upperBound == Int.max
      ? "a whole number from \(range.lowerBound) on"
      : "a whole number from \(range.lowerBound) to \(range.upperBound)"
  }
}
