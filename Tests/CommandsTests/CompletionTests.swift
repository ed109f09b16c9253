// Contract: every command and every flag of the table completes, in every shell; the scripts are
// correct for those shells that are installed here.
// Not shown here: how a shell displays what it is offered.
import Commands
import Foundation
import Testing

@Suite struct CompletionTests {
  static func script(_ shell: CompletionScript.Shell) -> String {
    CompletionScript.script(for: shell, table: ProgramRun.table)
  }

  @Test(arguments: CompletionScript.Shell.allCases)
  func everyFlagStandsInTheScript(shell: CompletionScript.Shell) {
    let script = Self.script(shell)
    #expect(ProgramRun().run("completions", shell.rawValue).output == script)
    for definition in ProgramRun.table.definitions {
      #expect(script.contains(definition.words.last!))
      for flag in definition.allFlags {
        #expect(script.contains(shell == .fish ? "-l \(flag.name) " : "--\(flag.name)"))
      }
    }
  }

  @Test(arguments: CompletionScript.Shell.allCases)
  func theShellTakesTheScript(shell: CompletionScript.Shell) throws {
    guard let program = Shell.find(shell.rawValue) else { return }
    let outcome = try Shell.run(program, ["-n", "/dev/stdin"], input: Self.script(shell))
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
  }

  /// bash itself is asked, for every flag of every command.
  @Test func bashOffersEveryFlag() throws {
    let bash = try #require(Shell.find("bash"))
    var lines = [Self.script(.bash)]
    var expected: [String] = []
    for definition in ProgramRun.table.definitions {
      for flag in definition.allFlags {
        let words = ["kfm"] + definition.words + ["--\(flag.name)"]
        lines.append("COMP_WORDS=(\(words.joined(separator: " "))); COMP_CWORD=\(words.count - 1)")
        lines.append("_kfm; echo \"${COMPREPLY[@]}\"")
        expected.append("--\(flag.name)")
      }
    }
    let outcome = try Shell.run(bash, ["-s"], input: lines.joined(separator: "\n"))
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    let offered = outcome.output.split(separator: "\n", omittingEmptySubsequences: false)
    for (flag, line) in zip(expected, offered) {
      #expect(line.split(separator: " ").contains { $0 == flag }, "\(flag): \(line)")
    }
    #expect(offered.count >= expected.count)
  }

  @Test func bashOffersCommandsTopicsAndChoices() throws {
    let bash = try #require(Shell.find("bash"))
    let cases = [
      (["kfm", "to"], "topics"), (["kfm", "topics", "t"], "tail"),
      (["kfm", "topics", "tail", "agent.tur"], "agent.turns.requests"),
      (["kfm", "topics", "tail", "x", "--from", "l"], "last"),
      (["kfm", "completions", "f"], "fish"), (["kfm", "packs", "validate", "/us"], "/usr"),
      (["kfm", "serve", "--config", "/et"], "/etc"),
    ]
    for (words, expected) in cases {
      let call = "COMP_WORDS=(\(words.joined(separator: " "))); COMP_CWORD=\(words.count - 1)"
      let input = [Self.script(.bash), call, "_kfm; echo \"${COMPREPLY[@]}\""]
      let outcome = try Shell.run(bash, ["-s"], input: input.joined(separator: "\n"))
      #expect(outcome.output.split { $0 == " " || $0 == "\n" }.contains { $0 == expected })
    }
  }
}

enum Shell {
  static func find(_ name: String) -> String? {
    ["/usr/bin/\(name)", "/bin/\(name)"].first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  static func run(
    _ program: String, _ arguments: [String], input: String
  ) throws -> (exitCode: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stderr
    try process.run()
    try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try stdin.fileHandleForWriting.close()
    let output = String(decoding: stdout.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let errors = String(decoding: stderr.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output, errors)
  }
}
