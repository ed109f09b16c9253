import Events
import PersonalityPacks

/// `kfm packs validate`.
struct PacksValidateCommand: Command {
  static let definition = CommandDefinition(
    words: ["packs", "validate"], summary: "check a pack; every error with file and line",
    arguments: [
      ArgumentDefinition(name: "DIR", kind: .directory, summary: "the pack's folder")
    ],
    examples: [Example("kfm packs validate personalities/minimal", "before a restart")]
  ) { typed throws(UsageError) in
    PacksValidateCommand(directory: typed.argument(0) ?? "")
  }

  let directory: String

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    var shown = directory
    while shown.count > 1, shown.last == "/" { shown.removeLast() }
    let path = Path.absolute(shown, in: context.workingDirectory)
    do throws(PackFailure) {
      let pack = try PackLoader.load(path, shownAs: shown)
      let personality = pack.personality
      context.output.line(
        "\(personality.id) \(personality.version): good; \(pack.documents.count) documents, "
          + "\(personality.tools.count) tools, digest \(personality.digest)")
      return .ok
    } catch {
      throw CommandFailure(.failed, lines: error.issues.map(\.description))
    }
  }
}
