import Base
import VectorIndex

/// What the `kfm index` commands share.
enum IndexCommands {
  static let all = [
    IndexBuildCommand.definition, IndexSearchCommand.definition, IndexEvalCommand.definition,
    IndexInspectCommand.definition, IndexVerifyCommand.definition, IndexCompactCommand.definition,
  ]

  static let indexArgument = ArgumentDefinition(
    name: "INDEX", kind: .file, summary: "the index's file")
  static let dataArgument = ArgumentDefinition(
    name: "DATA", kind: .file, summary: ".fvecs, .fbin or .npy file, or a data set directory")
  static let efFlag = FlagDefinition(
    name: "ef", kind: .integer("EF", 1...1_048_576),
    summary: "candidates kept while searching; more is slower and finds more (64)")
  static let storageFlag = FlagDefinition(
    name: "storage", kind: .choice(VectorIndex.Storage.names),
    summary: "16 bits a component, or 8 for half the memory (standard)")
  static let kFlag = FlagDefinition(
    name: "k", kind: .integer("K", 1...1_000), summary: "answers a query (10)")

  static func load(_ path: String, _ context: CommandContext) throws(CommandFailure)
    -> VectorIndex
  {
    let path = Path.absolute(path, in: context.workingDirectory)
    do throws(VectorIndexError) { return try VectorIndex.loadUnscoped(from: path) } catch {
      throw failure(path, error)
    }
  }

  /// Damage and foreign formats have exit codes of their own.
  static func failure(_ path: String, _ error: VectorIndexError) -> CommandFailure {
    guard case .file(let reason) = error else { return CommandFailure(.failed, "\(error)") }
    switch reason {
    case .system: return CommandFailure(.failed, "\(reason)")
    case .versionUnsupported(let version):
      return CommandFailure(version > 2 ? .dataTooNew : .dataDamaged, "\(path): \(reason)")
    default: return CommandFailure(.dataDamaged, "\(path): \(reason)")
    }
  }
}

/// `kfm index build`.
struct IndexBuildCommand: Command {
  static let definition = CommandDefinition(
    words: ["index", "build"], summary: "build a vector index file",
    arguments: [IndexCommands.dataArgument, IndexCommands.indexArgument],
    flags: [
      FlagDefinition(
        name: "metric", kind: .choice(["cosine", "ip", "l2"]),
        summary: "how vectors are compared (the data set's, else cosine)"),
      FlagDefinition(
        name: "m", kind: .integer("M", 2...128), summary: "edges of a node (16)"),
      FlagDefinition(
        name: "ef-construction", kind: .integer("EF", 1...65_536),
        summary: "candidates looked at for each insertion (200)"),
      IndexCommands.storageFlag,
      FlagDefinition(
        name: "threads", kind: .integer("N", 1...256), summary: "threads that build (1)"),
      .json,
    ],
    examples: [
      Example("kfm index build base.fbin base.vidx --metric l2", "from a file of vectors"),
      Example("kfm index build ./minilm-50k minilm.vidx --threads 2", "from a data set directory"),
    ]
  ) { typed throws(UsageError) in IndexBuildCommand(typed: typed) }

  let typed: TypedArguments

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let out = Path.absolute(typed.positionals[1], in: context.workingDirectory)
    do {
      let (rows, metric) = try source(context)
      let options = VectorIndex.Options(
        dimension: rows.dimension, metric: metric, m: typed.integer("m") ?? 16,
        efConstruction: typed.integer("ef-construction") ?? 200,
        storage: VectorIndex.Storage(commandLine: typed["storage"]) ?? .standard)
      let index = try VectorIndex(options: options)
      let floats = try rows.floats(0..<rows.count)
      let ids = (0..<rows.count).map { UInt64($0) }
      let watch = StopWatch()
      try index.add(rows: floats.span, ids: ids.span, threads: typed.integer("threads") ?? 1)
      let (wall, cpu) = (watch.wallSeconds, watch.cpuSeconds)
      try index.save(to: out)
      guard !typed.has("json") else {
        context.output.line(
          JSON.object([
            "index": .string(out), "rows": .int(Int64(index.count)),
            "dimension": .int(Int64(rows.dimension)), "metric": .string(metric.commandLineName),
            "wall_s": .double(wall), "cpu_s": .double(cpu),
          ]).text)
        return .ok
      }
      context.output.line(
        "\(out): \(index.count) rows of \(rows.dimension), \(metric.commandLineName); "
          + "built in \(Quantity.fixed(wall, places: 2)) s "
          + "(\(Quantity.fixed(cpu, places: 2)) CPU s)")
      return .ok
    } catch let error as VectorIndexError {
      throw IndexCommands.failure(out, error)
    } catch {
      throw CommandFailure(.failed, "\(error)")
    }
  }

  private func source(_ context: CommandContext) throws(DatasetError) -> (RowFile, Metric) {
    let path = Path.absolute(typed.positionals[0], in: context.workingDirectory)
    let metric = Metric(commandLine: typed["metric"])
    if TextFile.read(Path.join(path, "meta.json"), limit: 1 << 20) != nil {
      let data = try VectorDataset(directory: path)
      return (data.base, metric ?? data.metric)
    }
    return (try VectorFile.rows(path), metric ?? .cosine)
  }
}

/// `kfm index search`.
struct IndexSearchCommand: Command {
  static let definition = CommandDefinition(
    words: ["index", "search"], summary: "find the nearest rows of a vector index",
    arguments: [IndexCommands.indexArgument],
    flags: [
      FlagDefinition(
        name: "vector", kind: .text("NUMBERS"), summary: "the query, its components by commas"),
      FlagDefinition(
        name: "id", kind: .integer("ID", 0...Int.max), summary: "a row of the index as the query"),
      IndexCommands.kFlag, IndexCommands.efFlag, .json,
    ],
    examples: [
      Example("kfm index search base.vidx --id 7", "what is like row 7"),
      Example(
        "kfm index search tiny.vidx --vector 0.1,0.2,0.7 --k 3 --json", "for a program"),
    ]
  ) { typed throws(UsageError) in
    guard (typed["vector"] == nil) != (typed["id"] == nil) else {
      throw UsageError("either --vector or --id says what to look for")
    }
    if let text = typed["vector"] { _ = try components(text) }
    return IndexSearchCommand(typed: typed)
  }

  let typed: TypedArguments

  private static func components(_ text: String) throws(UsageError) -> [Float] {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map {
      Float(String($0))
    }
    guard !numbers.contains(nil) else {
      throw UsageError("--vector: expected numbers separated by commas")
    }
    return numbers.compactMap { $0 }
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let path = typed.positionals[0]
    let index = try IndexCommands.load(path, context)
    let query: [Float]
    if let text = typed["vector"] {
      do throws(UsageError) { query = try Self.components(text) } catch {
        throw CommandFailure(.usage, error.message)
      }
    } else {
      guard let id = typed.integer("id"), let row = index.vector(for: UInt64(id)) else {
        throw CommandFailure(.failed, "the index has no row \(typed["id"] ?? "")")
      }
      query = row
    }
    let k = typed.integer("k") ?? 10
    do throws(VectorIndexError) {
      let found = try index.search(query, k: k, ef: max(typed.integer("ef") ?? 64, k))
      write(found, to: context.output)
      return .ok
    } catch {
      throw IndexCommands.failure(path, error)
    }
  }

  private func write(_ found: [Neighbour], to output: OutputWriter) {
    if typed.has("json") {
      for neighbour in found {
        output.line(
          JSON.object([
            "id": .int(Int64(bitPattern: neighbour.id)),
            "distance": .double(Double(neighbour.distance)),
          ]).text)
      }
      return
    }
    var table = TextTable([.init("id", .right), .init("distance", .right)])
    for neighbour in found {
      table.add(["\(neighbour.id)", Quantity.fixed(Double(neighbour.distance), places: 5)])
    }
    table.write(to: output)
  }
}

/// `kfm index eval`.
struct IndexEvalCommand: Command {
  static let definition = CommandDefinition(
    words: ["index", "eval"], summary: "recall and rate of a vector index, by exact search",
    arguments: [
      IndexCommands.indexArgument,
      ArgumentDefinition(
        name: "DATA", kind: .file,
        summary: "the data set directory or file whose row numbers are the index's ids"),
    ],
    flags: [IndexCommands.kFlag, .json],
    examples: [
      Example("kfm index eval minilm.vidx ./minilm-50k", "with the data set's queries"),
      Example("kfm index eval base.vidx base.fbin --k 100 --json", "for a program"),
    ]
  ) { typed throws(UsageError) in IndexEvalCommand(typed: typed) }

  let typed: TypedArguments

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let index = try IndexCommands.load(typed.positionals[0], context)
    let k = typed.integer("k") ?? 10
    do {
      let path = Path.absolute(typed.positionals[1], in: context.workingDirectory)
      let queries = try BenchVectors(path: path, metric: index.options.metric)
      guard queries.dimension == index.options.dimension else {
        throw DatasetError(
          "\(path): vectors of \(queries.dimension), the index holds \(index.options.dimension)")
      }
      // The rows are the index's own, so that what was removed counts for nothing.
      let exact = try ExactIndex(
        dimension: index.options.dimension, metric: index.options.metric)
      for id in index.ids {
        if let vector = index.vector(for: id) { try exact.add(vector, id: id) }
      }
      let evaluation = VectorEvaluation(index: index, queries: queries.queries, k: k)
      let progress = Progress("exact answers", in: context)
      let truth = try evaluation.truth(exact, progress)
      progress.end()
      let points = try VecBenchCommand.efs.filter { $0 >= k }.map {
        try evaluation.point(ef: $0, truth)
      }
      VectorEvaluation.write(points, k: k, isJSON: typed.has("json"), to: context.output)
      return .ok
    } catch {
      throw CommandFailure(.failed, "\(error)")
    }
  }
}

extension VectorIndex.Storage {
  static var names: [String] { allCases.map(\.commandLineName) }

  /// As it is written on the command line.
  init?(commandLine name: String?) {
    guard let storage = Self.allCases.first(where: { $0.commandLineName == name }) else {
      return nil
    }
    self = storage
  }

  var commandLineName: String { "\(self)" }
}
