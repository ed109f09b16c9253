// Contract: the table is whole. Every command explains itself on standard output with examples
// that work as they stand; every flag can be completed in every shell; what is wrong is said on
// standard error with exit code 2, and names what was probably meant.
// Not shown here: what commands do.
import Commands
import Foundation
import Testing

@Suite struct CommandTableTests {
  static let definitions = ProgramRun.table.definitions
  static let names = definitions.map(\.name)

  @Test func namesAreUnique() {
    #expect(Set(Self.names).count == Self.names.count)
    #expect(Self.names.count >= 18)
  }

  @Test(arguments: names) func helpHasEverything(name: String) throws {
    let definition = try #require(ProgramRun.table.definition(named: name))
    let help = ProgramRun().run(definition.words + ["--help"])
    #expect(help.exitCode == .ok)
    #expect(help.errors.isEmpty)
    #expect(help.output.contains("Examples:"))
    #expect(help.output.contains("kfm \(name)"))
    #expect(help.output.contains(definition.summary))
    for flag in definition.allFlags {
      #expect(help.output.contains("--\(flag.name)"))
      #expect(help.output.contains(flag.summary))
    }
    #expect(ProgramRun().run(["help"] + definition.words).output == help.output)
  }

  @Test(arguments: names) func examplesWork(name: String) throws {
    let definition = try #require(ProgramRun.table.definition(named: name))
    #expect(!definition.examples.isEmpty)
    for example in definition.examples {
      let words = ShellWords.command(example.line)
      #expect(words.first == "kfm")
      #expect(Array(words.dropFirst().prefix(definition.words.count)) == definition.words)
      let typed = try definition.parse(words.dropFirst(1 + definition.words.count))
      _ = try definition.interpret(typed)
    }
  }

  @Test func overviewNamesEveryCommand() {
    let help = ProgramRun().run("--help")
    #expect(help.exitCode == .ok)
    for name in Self.names { #expect(help.output.contains(name)) }
    for group in ["turns", "topics", "packs", "config"] {
      let page = ProgramRun().run(group, "--help")
      #expect(page.exitCode == .ok)
      #expect(page.output.contains("Examples:") && page.output.contains("kfm \(group)"))
    }
  }

  struct Wrong: Sendable, CustomTestStringConvertible {
    var words: [String]
    var says: String
    var testDescription: String { words.joined(separator: " ") }
  }

  static let wrong = [
    Wrong(words: [], says: "which command"),
    Wrong(words: ["nosuch"], says: "no command 'nosuch'"),
    Wrong(words: ["aks", "hello"], says: "did you mean 'ask'?"),
    Wrong(words: ["topics"], says: "list, tail"),
    Wrong(words: ["topics", "tial"], says: "did you mean 'topics tail'?"),
    Wrong(words: ["ask"], says: "QUESTION is missing"),
    Wrong(words: ["ask", ""], says: "QUESTION ''"),
    Wrong(words: ["ask", "two", "words"], says: "'words' is one argument too many"),
    Wrong(words: ["ask", "x", "--sesion", "s"], says: "did you mean '--session'?"),
    Wrong(words: ["ask", "x", "--session"], says: "--session needs a value"),
    Wrong(words: ["ask", "x", "--json=yes"], says: "--json takes no value"),
    Wrong(words: ["ask", "x", "--json", "--json"], says: "twice"),
    Wrong(words: ["ask", "x", "-j"], says: "no option '-j'"),
    Wrong(words: ["serve", "--nosuch"], says: "no option '--nosuch'"),
    Wrong(words: ["topics", "tail"], says: "TOPIC is missing"),
    Wrong(words: ["topics", "tail", "agent.nosuch"], says: "kfm topics list"),
    Wrong(words: ["topics", "tail", "agent.plans", "--count", "0"], says: "from 1 on"),
    Wrong(
      words: ["topics", "tail", "agent.plans", "--from", "-1"], says: "first, last or an offset"),
    Wrong(words: ["topics", "tail", "agent.plans", "--offline", "--follow"], says: "--follow"),
    Wrong(words: ["load", "--rate", "0"], says: "above 0"),
    Wrong(words: ["load", "--rate", "nan"], says: "above 0"),
    Wrong(words: ["load", "--duration", "soon"], says: "30s"),
    Wrong(words: ["load", "--rate", "100000", "--duration", "9d"], says: "at most"),
    Wrong(words: ["turns", "show", "x"], says: "26 letters and digits"),
    Wrong(words: ["completions", "tcsh"], says: "bash, zsh, fish"),
    Wrong(words: ["replay", "x"], says: "not in this version"),
    Wrong(words: ["turns", "retry", "x"], says: "not in this version"),
  ]

  @Test(arguments: wrong) func wrongUsageIsExplained(_ wrong: Wrong) {
    let outcome = ProgramRun().run(wrong.words)
    #expect(outcome.exitCode == .usage)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errors.contains(wrong.says), "\(outcome.errors)")
  }

  /// Names of the surface that this version lacks; each is refused by name.
  @Test(arguments: [
    "replay", "fork", "sessions", "dlq", "approvals", "tools", "memory", "models", "iggy",
    "broker", "size", "backup", "keys", "audit", "top",
  ]) func whatIsNotBuiltIsRefusedByName(name: String) {
    let outcome = ProgramRun().run(name, "--help")
    #expect(outcome.exitCode == .usage)
    #expect(outcome.errors.contains("'\(name)' is not in this version"))
  }

  @Test func flagsAndArgumentsMixFreely() throws {
    let ask = try #require(ProgramRun.table.definition(named: "ask"))
    let typed = try ask.parse(["--session=a=b", "what?", "--json"])
    #expect(typed["session"] == "a=b")
    #expect(typed.argument(0) == "what?")
    #expect(typed.has("json"))
    #expect(try ask.parse(["--", "--json"]).argument(0) == "--json")
    #expect(try ask.parse(["-"]).argument(0) == "-")
  }
}

/// Words of an example, as a POSIX shell splits them: quotes, no expansion.
enum ShellWords {
  /// Without variables before the command and redirections after it.
  static func command(_ line: String) -> [String] {
    split(line).drop { $0.contains("=") }.filter { !$0.hasPrefix(">") && !$0.hasPrefix("<") }
  }

  static func split(_ line: String) -> [String] {
    var words: [String] = []
    var word: String?
    var isQuoted = false
    for character in line {
      switch character {
      case "\"":
        isQuoted.toggle()
        word = word ?? ""
      case " " where !isQuoted:
        if let word { words.append(word) }
        word = nil
      default: word = (word ?? "") + String(character)
      }
    }
    return word.map { words + [$0] } ?? words
  }
}
