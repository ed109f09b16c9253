/// Reads the words after a command's name.
struct ArgumentParser {
  let definition: CommandDefinition

  /// Whether help was asked for; nothing else matters then.
  static func asksForHelp(_ words: some Sequence<String>) -> Bool {
    for word in words {
      if word == "--" { return false }
      if word == "--help" || word == "-h" { return true }
    }
    return false
  }

  func parse(_ words: some Sequence<String>) throws(UsageError) -> TypedArguments {
    var typed = TypedArguments()
    var rest = Array(words)[...]
    var flagsAreOver = false
    while let word = rest.popFirst() {
      if flagsAreOver || word == "-" || !word.hasPrefix("-") {
        typed.positionals.append(word)
      } else if word == "--" {
        flagsAreOver = true
      } else {
        try readFlag(word, &rest, &typed)
      }
    }
    try checkPositionals(typed.positionals)
    return typed
  }

  private func readFlag(
    _ word: String, _ rest: inout ArraySlice<String>, _ typed: inout TypedArguments
  ) throws(UsageError) {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0].drop { $0 == "-" })
    guard word.hasPrefix("--"), let flag = definition.flag(named: name) else {
      throw unknown(String(parts[0]), name)
    }
    guard !typed.has(name), typed[name] == nil else {
      throw UsageError("--\(name) was given twice")
    }
    guard let kind = flag.kind else {
      guard parts.count == 1 else { throw UsageError("--\(name) takes no value") }
      typed.switches.insert(name)
      return
    }
    guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
      throw UsageError("--\(name) needs a value: \(flag.usage)")
    }
    if let expected = kind.objection(to: value) {
      throw UsageError("--\(name) '\(value)': expected \(expected)")
    }
    typed.values[name] = value
  }

  private func unknown(_ word: String, _ name: String) -> UsageError {
    let likely = Suggestion.nearest(to: name, among: definition.allFlags.map(\.name))
    return UsageError("there is no option '\(word)'" + Suggestion.clause(likely.map { "--\($0)" }))
  }

  private func checkPositionals(_ positionals: [String]) throws(UsageError) {
    for (argument, value) in zip(definition.arguments, positionals) {
      if let expected = argument.kind.objection(to: value) {
        throw UsageError("\(argument.name) '\(value)': expected \(expected)")
      }
    }
    if positionals.count > definition.arguments.count {
      let extra = positionals[definition.arguments.count]
      throw UsageError(
        "'\(extra)' is one argument too many; put what belongs together in quotes")
    }
    let missing = definition.arguments.dropFirst(positionals.count).first { !$0.isOptional }
    if let missing { throw UsageError("\(missing.name) is missing: \(missing.summary)") }
  }
}
