/// A command whose arguments are understood and which can be run.
package protocol Command {
  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode
}

/// What was typed does not make sense.
package struct UsageError: Error, Equatable {
  package var message: String

  package init(_ message: String) { self.message = message }
}

/// One row of the table from which parsing, help, completions and their tests are made.
package struct CommandDefinition: Sendable {
  /// The words that name it: `["topics", "tail"]`.
  package var words: [String]
  /// One line, without a full stop.
  package var summary: String
  package var arguments: [ArgumentDefinition] = []
  package var flags: [FlagDefinition] = []
  package var examples: [Example]
  /// From what was typed to what it means.
  package var interpret: @Sendable (TypedArguments) throws(UsageError) -> any Command

  package var name: String { words.joined(separator: " ") }

  /// Its own flags, and those that every command takes.
  package var allFlags: [FlagDefinition] { flags + FlagDefinition.common }

  package func flag(named name: String) -> FlagDefinition? {
    allFlags.first { $0.name == name }
  }

  /// `kfm topics tail [options] TOPIC`
  package var usage: String {
    let names = arguments.map { $0.isOptional ? "[\($0.name)]" : $0.name }
    return (["kfm", name, "[options]"] + names).joined(separator: " ")
  }
}

/// An argument that is known by its place. Only the last ones may be optional.
package struct ArgumentDefinition: Sendable {
  package var name: String
  package var kind: ValueKind
  package var summary: String
  package var isOptional = false
}

/// An argument that is known by its name.
package struct FlagDefinition: Sendable {
  /// Without its dashes.
  package var name: String
  /// Nil for a switch.
  package var kind: ValueKind?
  package var summary: String

  package static let config = FlagDefinition(
    name: "config", kind: .file, summary: "configuration file (else KFM_CONFIG, ./config.toml)")
  package static let help = FlagDefinition(
    name: "help", kind: nil, summary: "show this help")
  package static let json = FlagDefinition(
    name: "json", kind: nil, summary: "one JSON object a line")

  /// Taken by every command.
  package static let common = [config, help]

  /// `--count N`
  var usage: String {
    guard let kind else { return "--\(name)" }
    return "--\(name) \(kind.placeholder)"
  }
}

/// A command line that works as it stands, and what it is for.
package struct Example: Sendable {
  /// From `kfm` on, as a shell takes it.
  package var line: String
  package var purpose: String

  package init(_ line: String, _ purpose: String) {
    self.line = line
    self.purpose = purpose
  }
}

extension CommandDefinition {
  /// Checks the words after the command's name against the definition.
  package func parse(_ words: some Sequence<String>) throws(UsageError) -> TypedArguments {
    try ArgumentParser(definition: self).parse(words)
  }
}
