import Base
import VectorIndex

/// `kfm bench vec`: builds an index of vectors and prints its recall and rate.
struct VecBenchCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "vec"], summary: "build a vector index and report recall and rate",
    flags: [
      FlagDefinition(
        name: "data", kind: .file,
        summary: ".fvecs, .fbin or .npy file, or a data set directory (a seeded set)"),
      FlagDefinition(
        name: "metric", kind: .choice(["cosine", "ip", "l2"]),
        summary: "how vectors are compared (the data set's, else cosine)"),
      FlagDefinition(name: "k", kind: .integer("K", 1...1_000), summary: "answers a query (10)"),
      FlagDefinition(
        name: "threads", kind: .integer("N", 1...256), summary: "threads that build (1)"),
      FlagDefinition(name: "json", kind: nil, summary: "one JSON object a line"),
    ],
    examples: [
      Example("kfm bench vec", "a look at a seeded set, without data"),
      Example("kfm bench vec --data base.fvecs --metric l2", "a file; some rows become queries"),
      Example("kfm bench vec --data ./minilm-50k --json", "a data set directory, for a program"),
    ]
  ) { typed throws(UsageError) in
    VecBenchCommand(
      path: typed["data"], metric: Metric(commandLine: typed["metric"]),
      k: typed.integer("k") ?? 10, threads: typed.integer("threads") ?? 1,
      isJSON: typed.has("json"))
  }

  let path: String?
  let metric: Metric?
  let k: Int
  let threads: Int
  let isJSON: Bool

  static let efs = [10, 16, 24, 32, 48, 64, 96, 128, 200, 400]

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    do {
      try measure(context)
      return .ok
    } catch let error as VectorIndexError {
      throw CommandFailure(.failed, "\(error)")
    } catch {
      throw CommandFailure(.failed, "\(error)")
    }
  }

  private func measure(_ context: CommandContext) throws {
    let vectors =
      try path.map {
        try BenchVectors(
          path: Path.absolute($0, in: context.workingDirectory), metric: metric)
      } ?? BenchVectors.seeded()
    let index = try VectorIndex(
      options: .init(dimension: vectors.dimension, metric: vectors.metric))
    let ids = (0..<vectors.count).map { UInt64($0) }
    let watch = StopWatch()
    try index.add(rows: vectors.rows.span, ids: ids.span, threads: threads)
    let built = (wall: watch.wallSeconds, cpu: watch.cpuSeconds)
    if !isJSON {
      context.output.line(
        "\(vectors.label): \(vectors.count) rows of \(vectors.dimension), \(vectors.metric), "
          + "\(vectors.queryCount) queries; \(VectorIndex.instructionSet)")
      context.output.line(
        "built in \(Quantity.fixed(built.wall, places: 2)) s on \(threads) threads "
          + "(\(Quantity.fixed(built.cpu, places: 2)) CPU s)")
      context.output.flush()
    }
    let exact = try ExactIndex(dimension: vectors.dimension, metric: vectors.metric)
    for id in 0..<vectors.count {
      let row = id * vectors.dimension
      try exact.add(Array(vectors.rows[row..<row + vectors.dimension]), id: UInt64(id))
    }
    let evaluation = VectorEvaluation(index: index, queries: vectors.queries, k: k)
    let progress = Progress("exact answers", in: context)
    let truth = try evaluation.truth(exact, progress)
    progress.end()
    let points = try Self.efs.filter { $0 >= k }.map { try evaluation.point(ef: $0, truth) }
    VectorEvaluation.write(points, k: k, isJSON: isJSON, to: context.output)
  }
}

extension Metric {
  /// As it is written on the command line.
  init?(commandLine name: String?) {
    switch name {
    case "cosine": self = .cosine
    case "ip": self = .innerProduct
    case "l2": self = .l2
    default: return nil
    }
  }

  var commandLineName: String {
    switch self {
    case .cosine: "cosine"
    case .innerProduct: "ip"
    case .l2: "l2"
    }
  }
}
