/// Every command of this version, once: parsing, help, completions and their tests come from here.
package struct CommandTable {
  package let definitions: [CommandDefinition]

  /// `serve` is what `kfm serve` hands over to.
  package init(serve: @escaping NodeEntry) {
    definitions =
      [ServeCommand.definition(serve), AskCommand.definition]
      + [TurnsCommand.list, TurnsCommand.show, TurnsCommand.cancel]
      + [TopicsListCommand.definition, TopicsTailCommand.definition, LagCommand.definition]
      + [PacksListCommand.definition, PacksNewCommand.definition, PacksValidateCommand.definition]
      + [ConfigCommand.check, ConfigCommand.show, ConfigCommand.schema]
      + IndexCommands.all
      + [LogCommand.verify, LogCommand.inspect, LogCommand.repair]
      + [LoadCommand.definition, DoctorCommand.definition, VersionCommand.definition]
      + [
        AppendBenchCommand.definition,
        SlowConsumerCommand.definition,
        EchoServerCommand.definition,
        LoopCommand.definition,
        PollBenchCommand.definition, WakeBenchCommand.definition,
        EnvelopeBenchCommand.definition,
        VecServeCommand.definition, VecBenchCommand.definition, RagBenchCommand.definition,
      ]
      + [CompletionsCommand.definition]
  }

  /// Commands of the surface that this version does not have.
  static let notInThisVersion = [
    "replay", "fork", "sessions", "dlq", "approvals", "tools", "memory", "models",
    "iggy", "broker", "size", "backup", "keys", "audit", "top", "turns retry",
  ]

  package func definition(named name: String) -> CommandDefinition? {
    definitions.first { $0.name == name }
  }

  /// First words that need a second one.
  var groups: [String] {
    var seen: [String] = []
    for definition in definitions where definition.words.count > 1 {
      if !seen.contains(definition.words[0]) { seen.append(definition.words[0]) }
    }
    return seen
  }

  func group(_ name: String) -> [CommandDefinition] {
    definitions.filter { $0.words.count > 1 && $0.words[0] == name }
  }

  var firstWords: [String] {
    var seen: [String] = []
    for definition in definitions where !seen.contains(definition.words[0]) {
      seen.append(definition.words[0])
    }
    return seen
  }

  func secondWords(of group: String) -> [String] { self.group(group).map { $0.words[1] } }

  /// What a command line names.
  enum Resolution {
    case overview
    case group(String)
    case command(CommandDefinition, rest: ArraySlice<String>)
  }

  func resolve(_ words: [String]) throws(UsageError) -> Resolution {
    var words = words[...]
    if words.first == "help" {
      // `kfm help ask` is `kfm ask --help`.
      words = words.dropFirst() + ["--help"]
    }
    guard let first = words.first, first != "--help", first != "-h" else { return .overview }
    if let definition = definition(named: first) {
      return .command(definition, rest: words.dropFirst())
    }
    guard groups.contains(first) else { throw unknown(first, among: firstWords) }
    guard let second = words.dropFirst().first, second != "--help", second != "-h" else {
      return .group(first)
    }
    guard let definition = definition(named: "\(first) \(second)") else {
      throw unknown("\(first) \(second)", among: group(first).map(\.name))
    }
    return .command(definition, rest: words.dropFirst(2))
  }

  private func unknown(_ name: String, among names: [String]) -> UsageError {
    if Self.notInThisVersion.contains(name) {
      return UsageError("'\(name)' is not in this version")
    }
    let likely = Suggestion.nearest(to: name, among: names)
    return UsageError("there is no command '\(name)'" + Suggestion.clause(likely))
  }
}
