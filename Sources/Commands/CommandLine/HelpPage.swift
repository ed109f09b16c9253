/// Help, made from the table.
struct HelpPage {
  let table: CommandTable

  /// `kfm --help`
  var overview: String {
    var lines = [
      "kfm: an event-driven agent node with its log, index and sandbox in one program", "",
      "Usage: kfm COMMAND [options] [arguments]", "", "Commands:",
    ]
    let definitions = table.definitions
    lines += Self.aligned(definitions.map { ($0.name, $0.summary) })
    lines += ["", "Examples:"]
    for name in ["serve", "ask", "topics tail"] {
      if let example = table.definition(named: name)?.examples.first {
        lines += Self.example(example)
      }
    }
    lines += ["", "`kfm COMMAND --help` explains a command."]
    return lines.joined(separator: "\n") + "\n"
  }

  /// `kfm topics --help`: the commands that begin so.
  func group(_ name: String) -> String {
    let members = table.group(name)
    var lines = ["Usage: kfm \(name) COMMAND [options] [arguments]", "", "Commands:"]
    lines += Self.aligned(members.map { ($0.name, $0.summary) })
    lines += ["", "Examples:"]
    for example in members.flatMap(\.examples) { lines += Self.example(example) }
    return lines.joined(separator: "\n") + "\n"
  }

  func command(_ definition: CommandDefinition) -> String {
    var lines = [
      "kfm \(definition.name): \(definition.summary)", "", "Usage: \(definition.usage)",
    ]
    if !definition.arguments.isEmpty {
      lines += ["", "Arguments:"]
      lines += Self.aligned(definition.arguments.map { ($0.name, $0.summary) })
    }
    lines += ["", "Options:"]
    lines += Self.aligned(definition.allFlags.map { ($0.usage, $0.summary) })
    lines += ["", "Examples:"]
    for example in definition.examples { lines += Self.example(example) }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func example(_ example: Example) -> [String] {
    ["  # \(example.purpose)", "  \(example.line)"]
  }

  private static func aligned(_ rows: [(String, String)]) -> [String] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { left, right in
      "  " + left + String(repeating: " ", count: width - left.count) + "  " + right
    }
  }
}
