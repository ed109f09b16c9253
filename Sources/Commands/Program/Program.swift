/// `kfm` as a function: words and a context in, an exit code out. What broken pipes and failures
/// mean is decided here, once.
package struct Program {
  private let table: CommandTable

  package init(table: CommandTable) { self.table = table }

  package func run(_ words: [String], in context: CommandContext) -> ExitCode {
    let exitCode: ExitCode
    do throws(CommandFailure) {
      exitCode = try perform(words, context)
    } catch {
      for line in error.lines { context.errors.line(line) }
      exitCode = error.exitCode
    }
    context.output.flush()
    let final = judge(exitCode, context)
    context.errors.flush()
    return final
  }

  private func perform(
    _ words: [String], _ context: CommandContext
  ) throws(CommandFailure) -> ExitCode {
    switch try resolve(words) {
    case .overview: return try overview(words, context)
    case .group(let name): return try group(name, words, context)
    case .command(let definition, let rest):
      guard !ArgumentParser.asksForHelp(rest) else {
        context.output.write(HelpPage(table: table).command(definition))
        return .ok
      }
      return try run(definition, rest, context)
    }
  }

  private func resolve(
    _ words: [String]
  ) throws(CommandFailure) -> CommandTable.Resolution {
    do throws(UsageError) {
      return try table.resolve(words == ["--version"] ? ["version"] : words)
    } catch {
      throw usage(error.message)
    }
  }

  private func run(
    _ definition: CommandDefinition, _ words: ArraySlice<String>, _ context: CommandContext
  ) throws(CommandFailure) -> ExitCode {
    let command: any Command
    do throws(UsageError) {
      command = try definition.interpret(definition.parse(words))
    } catch {
      throw CommandFailure(
        .usage,
        lines: [
          "kfm \(definition.name): \(error.message)", "usage: \(definition.usage)",
          "`kfm \(definition.name) --help` explains it",
        ])
    }
    return try command.run(in: context)
  }

  private func overview(
    _ words: [String], _ context: CommandContext
  ) throws(CommandFailure) -> ExitCode {
    guard !words.isEmpty else { throw usage("which command?") }
    context.output.write(HelpPage(table: table).overview)
    return .ok
  }

  private func group(
    _ name: String, _ words: [String], _ context: CommandContext
  ) throws(CommandFailure) -> ExitCode {
    guard ArgumentParser.asksForHelp(words) || words.first == "help" else {
      let members = table.secondWords(of: name).joined(separator: ", ")
      throw usage("\(name) what? One of: \(members)")
    }
    context.output.write(HelpPage(table: table).group(name))
    return .ok
  }

  private func usage(_ message: String) -> CommandFailure {
    CommandFailure(.usage, lines: ["kfm: \(message)", "`kfm --help` lists the commands"])
  }

  /// A reader that has closed the pipe had enough, which is no failure; a result that could not be
  /// written for another reason is one.
  private func judge(_ exitCode: ExitCode, _ context: CommandContext) -> ExitCode {
    switch context.output.failure {
    case nil, .closed: return exitCode
    case .failed(let code):
      context.errors.line("kfm: standard output cannot be written: \(SystemError.text(code))")
      return exitCode == .ok ? .notWritable : exitCode
    }
  }
}
