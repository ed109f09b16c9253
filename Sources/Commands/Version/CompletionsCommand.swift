/// `kfm completions SHELL`.
struct CompletionsCommand: Command {
  static let definition = CommandDefinition(
    words: ["completions"], summary: "print a script that completes kfm in a shell",
    arguments: [
      ArgumentDefinition(
        name: "SHELL", kind: .choice(CompletionScript.Shell.allCases.map(\.rawValue)),
        summary: "bash, zsh or fish")
    ],
    examples: [
      Example("kfm completions bash >/etc/bash_completion.d/kfm", "for every user of bash")
    ]
  ) { typed throws(UsageError) in
    guard let shell = typed.argument(0).flatMap(CompletionScript.Shell.init(rawValue:)) else {
      throw UsageError("SHELL is missing")
    }
    return CompletionsCommand(shell: shell)
  }

  let shell: CompletionScript.Shell

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    // The scripts name commands and flags only; what serve does plays no part.
    let table = CommandTable { _ in .ok }
    context.output.write(CompletionScript.script(for: shell, table: table))
    return .ok
  }
}
