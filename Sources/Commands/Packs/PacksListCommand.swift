import Base
import Configuration
import Events
import PersonalityPacks

/// `kfm packs list`: packs as the next start of a node would find them, refused ones too.
struct PacksListCommand: Command {
  static let definition = CommandDefinition(
    words: ["packs", "list"], summary: "personality packs, and why some are refused",
    flags: [.json],
    examples: [
      Example("kfm packs list", "what is in packs.dir"),
      Example("kfm packs list --json", "one JSON object a line"),
    ]
  ) { typed throws(UsageError) in
    PacksListCommand(config: typed["config"], isJSON: typed.has("json"))
  }

  let config: String?
  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let packs = try PacksFolder.configuration(context, config)
    let registry: PackRegistry
    do throws(PackFailure) {
      registry = try PackRegistry(directory: packs.directory, defaultName: packs.default)
    } catch {
      throw CommandFailure(.failed, lines: error.issues.map(\.description))
    }
    show(registry.statuses(), context.output)
    return .ok
  }

  private func show(_ statuses: [PersonalityStatus], _ output: OutputWriter) {
    guard !isJSON else {
      for status in statuses { output.line(Self.json(status).text) }
      return
    }
    var table = TextTable([
      .init("NAME"), .init("VERSION"), .init("STATUS"), .init("DESCRIPTION"),
    ])
    for status in statuses {
      table.add([
        status.id, status.version.isEmpty ? "-" : status.version,
        status.refusal == nil ? "ok" : "refused", status.refusal ?? status.description,
      ])
    }
    table.write(to: output)
  }

  private static func json(_ status: PersonalityStatus) -> JSON {
    var object: JSONObject = [
      "personality_id": .string(status.id), "name": .string(status.name),
      "version": .string(status.version), "description": .string(status.description),
      "digest": .string(status.digest), "status": status.refusal == nil ? "ok" : "refused",
    ]
    if let refusal = status.refusal { object["detail"] = .string(refusal) }
    return .object(object)
  }
}
