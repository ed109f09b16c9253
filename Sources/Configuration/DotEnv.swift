/// A `.env` file: `NAME=value` a line, with comments, `export`, and values in quotes.
enum DotEnv {
  static let bytesMax = 256 << 10

  struct Failure: Error {
    var line: Int
    var reason: String
  }

  static func parse(_ text: String) -> (variables: [String: String], failures: [Failure]) {
    var variables: [String: String] = [:]
    var failures: [Failure] = []
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      var rest = line.drop(while: \.isWhitespace)
      guard let first = rest.first, first != "#" else { continue }
      if rest.hasPrefix("export ") { rest = rest.dropFirst(7).drop(while: \.isWhitespace) }
      guard let sign = rest.firstIndex(of: "=") else {
        failures.append(Failure(line: index + 1, reason: "expected NAME=value"))
        continue
      }
      let name = trimmed(rest[..<sign])
      guard SecretReferences.isVariableName(name) else {
        failures.append(
          Failure(
            line: index + 1, reason: "a name with other characters than letters, digits and '_'"))
        continue
      }
      guard let value = value(rest[rest.index(after: sign)...]) else {
        failures.append(Failure(line: index + 1, reason: "a quote without its end"))
        continue
      }
      variables[String(name)] = value
    }
    return (variables, failures)
  }

  /// Single quotes keep everything; double quotes know `\n \" \\`; without quotes a ` #` begins a
  /// comment. Nil when a quote is left open.
  private static func value(_ text: Substring) -> String? {
    let text = trimmed(text)
    guard let quote = text.first, quote == "\"" || quote == "'" else {
      let comment = text.firstRange(of: " #")?.lowerBound ?? text.endIndex
      return String(trimmed(text[..<comment]))
    }
    var out = ""
    var rest = text.dropFirst()
    while let character = rest.popFirst() {
      if character == quote { return out }
      guard character == "\\", quote == "\"", let escaped = rest.popFirst() else {
        out.append(character)
        continue
      }
      out.append(escaped == "n" ? "\n" : escaped)
    }
    return nil
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop(while: \.isWhitespace)
    while let last = text.last, last.isWhitespace { text = text.dropLast() }
    return text
  }
}
