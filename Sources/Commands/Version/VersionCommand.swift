import Base
import UringIO

/// `kfm version`.
struct VersionCommand: Command {
  static let definition = CommandDefinition(
    words: ["version"], summary: "version, commit, compiler, I/O and linked libraries",
    flags: [.json],
    examples: [
      Example("kfm version", "for a bug report"),
      Example("kfm version --json", "for a program"),
    ]
  ) { typed throws(UsageError) in VersionCommand(isJSON: typed.has("json")) }

  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let commit = BuildInfo.commit(executable: context.executable)
    var libraries = JSONObject()
    for library in BuildInfo.libraries() { libraries[library.name] = .string(library.version) }
    let io = Self.io(context)
    guard !isJSON else {
      context.output.line(
        JSON.object([
          "version": .string(BuildInfo.version), "commit": .string(commit),
          "swift": .string(BuildInfo.swift), "io": .string(io),
          "libraries": .object(libraries),
        ]).text)
      return .ok
    }
    context.output.line("kfm \(BuildInfo.version) (commit \(commit), Swift \(BuildInfo.swift))")
    context.output.line("io: \(io)")
    for member in libraries.members {
      context.output.line("\(member.name): \(member.value.string ?? "")")
    }
    return .ok
  }

  /// What a node would use here.
  private static func io(_ context: CommandContext) -> String {
    do throws(CommandFailure) {
      let loop = try EventLoop.forCommand(context)
      defer { loop.close() }
      return loop.io.rawValue
    } catch {
      return "none"
    }
  }
}
