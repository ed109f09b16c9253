import Configuration
import PersonalityPacks

/// `kfm packs new`.
struct PacksNewCommand: Command {
  static let definition = CommandDefinition(
    words: ["packs", "new"], summary: "make a small pack that works, in packs.dir",
    arguments: [
      ArgumentDefinition(
        name: "NAME", kind: .text("NAME"),
        summary: "small letters, digits and -; beginning with a letter")
    ],
    examples: [Example("kfm packs new gardener", "then edit it and start the node again")]
  ) { typed throws(UsageError) in
    PacksNewCommand(name: typed.argument(0) ?? "", config: typed["config"])
  }

  let name: String
  let config: String?

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let packs = try PacksFolder.configuration(context, config)
    do throws(PackFailure) {
      let path = try PackScaffold.create(name, in: packs.directory)
      context.output.line(path)
      context.errors.line("made; check it with `kfm packs validate \(path)`, restart, and ask it")
      return .ok
    } catch {
      throw CommandFailure(.failed, lines: error.issues.map(\.description))
    }
  }
}
