import Base
import Glibc
import VectorIndex

/// `kfm index inspect`.
struct IndexInspectCommand: Command {
  static let definition = CommandDefinition(
    words: ["index", "inspect"], summary: "what a vector index file says about itself",
    arguments: [IndexCommands.indexArgument], flags: [.json],
    examples: [
      Example("kfm index inspect base.vidx", "options, rows, where the vectors come from"),
      Example("kfm index inspect base.vidx --json", "for a program"),
    ]
  ) { typed throws(UsageError) in IndexInspectCommand(typed: typed) }

  let typed: TypedArguments

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let path = Path.absolute(typed.positionals[0], in: context.workingDirectory)
    let file: IndexFileSummary
    do throws(VectorIndexError) { file = try IndexFileSummary(of: path) } catch {
      throw IndexCommands.failure(path, error)
    }
    let attributes = file.attributes
    var extra = JSONObject()
    for (name, value) in attributes.extra.sorted(by: { $0.key < $1.key }) {
      extra[name] = .string(value)
    }
    let members: JSONObject = [
      "rows": .int(Int64(file.nodes)), "dimension": .int(Int64(file.options.dimension)),
      "metric": .string(file.options.metric.commandLineName), "m": .int(Int64(file.options.m)),
      "ef_construction": .int(Int64(file.options.efConstruction)),
      "storage": .string(file.options.storage.commandLineName),
      "bytes": .int(Int64(file.bytes)), "embedder": .string(attributes.embedder),
      "weights_digest": .string(attributes.weightsDigest),
      "chunker": .string(attributes.chunker), "extra": .object(extra),
      "journal_bytes": file.journalBytes.map { .int(Int64($0)) } ?? .null,
    ]
    if typed.has("json") {
      context.output.line(JSON.object(members).text)
      return .ok
    }
    for member in members.members {
      context.output.line("\(member.name): \(member.value.string ?? member.value.text)")
    }
    var table = TextTable([.init("section"), .init("bytes", .right)])
    for section in file.sections { table.add([section.name, "\(section.bytes)"]) }
    table.write(to: context.output)
    return .ok
  }
}

/// `kfm index verify`.
struct IndexVerifyCommand: Command {
  static let definition = CommandDefinition(
    words: ["index", "verify"], summary: "read every byte of a vector index and check it",
    arguments: [IndexCommands.indexArgument], flags: [.json],
    examples: [
      Example("kfm index verify base.vidx", "exit code 10 when it is damaged, 11 when too new")
    ]
  ) { typed throws(UsageError) in IndexVerifyCommand(typed: typed) }

  let typed: TypedArguments

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let path = Path.absolute(typed.positionals[0], in: context.workingDirectory)
    let rows: Int
    do throws(VectorIndexError) {
      try VectorIndex.verify(file: path)
      // The checksums say that the bytes are those that were written; loading, that they make sense.
      rows = try VectorIndex.loadUnscoped(from: path).count
    } catch {
      throw IndexCommands.failure(path, error)
    }
    if typed.has("json") {
      context.output.line(
        JSON.object(["status": "ok", "index": .string(path), "rows": .int(Int64(rows))]).text)
    } else {
      context.output.line("\(path): \(rows) rows, every checksum and edge is right")
    }
    return .ok
  }
}

/// `kfm index compact`.
struct IndexCompactCommand: Command {
  static let definition = CommandDefinition(
    words: ["index", "compact"],
    summary: "rebuild a vector index without what was removed from it",
    arguments: [IndexCommands.indexArgument], flags: [.json],
    examples: [
      Example("kfm index compact base.vidx", "in place; a crash leaves the old file or the new")
    ]
  ) { typed throws(UsageError) in IndexCompactCommand(typed: typed) }

  let typed: TypedArguments

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let path = Path.absolute(typed.positionals[0], in: context.workingDirectory)
    guard access(path + ".journal", F_OK) != 0 else {
      throw CommandFailure(
        .failed, "\(path) has a journal; whoever writes it saves it by a checkpoint first")
    }
    let index = try IndexCommands.load(path, context)
    let before = Self.bytes(path)
    do throws(VectorIndexError) {
      index.compact()
      try index.save(to: path)
    } catch {
      throw IndexCommands.failure(path, error)
    }
    let after = Self.bytes(path)
    if typed.has("json") {
      context.output.line(
        JSON.object([
          "index": .string(path), "rows": .int(Int64(index.count)),
          "bytes_before": .int(Int64(before)), "bytes": .int(Int64(after)),
        ]).text)
    } else {
      context.output.line(
        "\(path): \(index.count) rows, \(Quantity.bytes(before)) before, "
          + "\(Quantity.bytes(after)) now")
    }
    return .ok
  }

  private static func bytes(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
  }
}
