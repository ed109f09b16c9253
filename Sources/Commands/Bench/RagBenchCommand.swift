import Base
import Configuration
import MemoryService
import VectorIndex

/// `kfm bench rag`: retrieval quality on a corpus with judgements, by meaning, by words and by both.
struct RagBenchCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "rag"], summary: "retrieval quality and latency on a judged corpus",
    flags: [
      FlagDefinition(
        name: "data", kind: .directory,
        summary: "BEIR layout: corpus.jsonl, queries.jsonl, qrels.tsv (a small built-in set)"),
      .json,
    ],
    examples: [
      Example("kfm bench rag", "a look at a small set, with the node's embedder"),
      Example("kfm bench rag --data ./scifact --json", "a BEIR set, for a program"),
    ]
  ) { typed throws(UsageError) in
    RagBenchCommand(path: typed["data"], config: typed["config"], isJSON: typed.has("json"))
  }

  let path: String?
  let config: String?
  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let loaded = try LoadedConfiguration.load(ConfigInputs(context: context, config: config))
    do {
      let corpus =
        try path.map {
          try RagCorpus(directory: Path.absolute($0, in: context.workingDirectory))
        } ?? RagCorpus.builtIn
      let directories = loaded.node.modelDirectories.map {
        Path.absolute($0, in: context.workingDirectory)
      }
      let source =
        EmbedderSource(
          setting: loaded.node.memory.embedder, modelDirectories: directories)
        ?? EmbedderSource(choice: .automatic, modelDirectories: directories)
      let run = try RagRun(corpus, embedder: source.open(), context)
      let rows = try SearchMode.allCases.map { try run.measure($0) }
      write(rows, run, context.output)
      return .ok
    } catch {
      throw CommandFailure(.failed, "\(error)")
    }
  }

  private func write(_ rows: [RagRun.Row], _ run: RagRun, _ output: OutputWriter) {
    if isJSON {
      for row in rows { output.line(row.json(run).text) }
      return
    }
    output.line(
      "\(run.corpus.documents.count) documents, \(run.corpus.queries.count) queries, "
        + "embedder \(run.embedder.id); indexed in \(Quantity.fixed(run.indexSeconds, places: 2)) s"
    )
    var table = TextTable([
      .init("search"), .init("nDCG@10", .right), .init("recall@10", .right),
      .init("recall@100", .right), .init("p50", .right), .init("p99", .right),
    ])
    for row in rows {
      table.add([
        row.mode.rawValue, Quantity.fixed(row.ndcg, places: 4),
        Quantity.fixed(row.recall10, places: 4), Quantity.fixed(row.recall100, places: 4),
        Quantity.time(microseconds: Int64(row.p50)), Quantity.time(microseconds: Int64(row.p99)),
      ])
    }
    table.write(to: output)
  }
}

/// One corpus in both indexes, asked in each way.
struct RagRun {
  struct Row {
    var mode: SearchMode
    var ndcg: Double
    var recall10: Double
    var recall100: Double
    /// Microseconds, the embedding of the query included.
    var p50: Double
    var p99: Double
  }

  let corpus: RagCorpus
  let embedder: any Embedder
  let indexSeconds: Double
  private let vectors: VectorStoreAdapter
  private let lexical: LexicalScorer

  /// Ranks that are looked at.
  private static let depth = 100

  init(_ corpus: RagCorpus, embedder: any Embedder, _ context: CommandContext) throws {
    self.corpus = corpus
    self.embedder = embedder
    let watch = StopWatch()
    let progress = Progress("indexing", in: context)
    vectors = try VectorStoreAdapter(dimension: embedder.dimension)
    for (number, document) in corpus.documents.enumerated() {
      try vectors.add(embedder.embed(document.text), chunk: number)
      progress.report(number, of: corpus.documents.count)
    }
    progress.end()
    lexical = LexicalScorer(texts: corpus.documents.map(\.text))
    indexSeconds = watch.wallSeconds
  }

  func measure(_ mode: SearchMode) throws -> Row {
    var ndcg = 0.0, recall10 = 0.0, recall100 = 0.0
    var latencies: [Int64] = []
    for query in corpus.queries {
      let began = StopWatch.monotonic()
      let ranking = try ranking(query.text, mode)
      latencies.append(StopWatch.monotonic() - began)
      let judged = corpus.judgements[query.id] ?? [:]
      ndcg += RankingQuality.ndcg(ranking, judged, k: 10)
      recall10 += RankingQuality.recall(ranking, judged, k: 10)
      recall100 += RankingQuality.recall(ranking, judged, k: 100)
    }
    latencies.sort()
    let count = Double(corpus.queries.count)
    func percentile(_ share: Double) -> Double {
      Double(latencies[min(latencies.count - 1, Int(count * share))]) / 1e3
    }
    return Row(
      mode: mode, ndcg: ndcg / count, recall10: recall10 / count, recall100: recall100 / count,
      p50: percentile(0.5), p99: percentile(0.99))
  }

  private func ranking(_ question: String, _ mode: SearchMode) throws -> [String] {
    var rankings: [[UInt64]] = []
    if mode != .text {
      let vector = embedder.embed(question)
      // A question without a word that the embedder knows has no direction.
      let near =
        vector.contains { $0 != 0 }
        ? try vectors.nearest(to: vector, limit: min(Self.depth, corpus.documents.count)) : []
      rankings.append(near.map { UInt64($0.chunk) })
    }
    if mode != .vector {
      rankings.append(lexical.best(question, limit: Self.depth).map { UInt64($0.chunk) })
    }
    return RankFusion.reciprocal(rankings, limit: Self.depth).map {
      corpus.documents[Int($0.id)].id
    }
  }
}

extension RagRun.Row {
  fileprivate func json(_ run: RagRun) -> JSON {
    [
      "search": .string(mode.rawValue), "ndcg_10": .double(ndcg), "recall_10": .double(recall10),
      "recall_100": .double(recall100), "p50_us": .double(p50), "p99_us": .double(p99),
      "documents": .int(Int64(run.corpus.documents.count)),
      "queries": .int(Int64(run.corpus.queries.count)), "embedder": .string(run.embedder.id),
      "index_s": .double(run.indexSeconds),
    ]
  }
}
