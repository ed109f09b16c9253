// Contract: on the same tokens, nDCG@10 is within 0.01 of an independent BM25 (Python's rank_bm25),
// also after a third of the documents were removed and the index was saved and loaded.
// Not shown here: texts of a real language; the words have their frequencies only.
import Base
import Foundation
import TestSupport
import Testing
import VectorIndex

@Suite struct TextIndexJudgeTests {
  private let directory = TemporaryDirectory("vector")

  /// Reads the documents, queries and judgements; prints the mean nDCG@10.
  private static let judge = """
    import json, math, sys
    import numpy
    from rank_bm25 import BM25Okapi

    data = json.load(open(sys.argv[1]))
    ids = sorted(data["documents"], key=int)
    index = BM25Okapi([data["documents"][i] for i in ids])
    total = 0.0
    for query, relevant in zip(data["queries"], data["relevant"]):
        scores = index.get_scores(query)
        order = numpy.argsort(-scores, kind="stable")[:10]
        gains = [1 / math.log2(rank + 2) for rank, at in enumerate(order) if int(ids[at]) in set(relevant)]
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant))))
        total += sum(gains) / ideal if ideal else 1
    print(total / len(data["queries"]))
    """

  private static func python() throws -> String? {
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { root.deleteLastPathComponent() }
    let candidates = ["\(root.path)/.venv-test/bin/python", "/usr/bin/python3"]
    return try candidates.first { program in
      guard FileManager.default.isExecutableFile(atPath: program) else { return false }
      return try run(program, ["-c", "import rank_bm25"]).status == 0
    }
  }

  private static func run(_ program: String, _ arguments: [String]) throws
    -> (status: Int32, output: String)
  {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  private struct Corpus {
    var documents: [UInt64: [String]] = [:]
    var queries: [[String]] = []
    var relevant: [[UInt64]] = []
  }

  /// Documents of a topic share some of its words, among many that all topics use.
  private func corpus(seed: UInt64) -> Corpus {
    let random = SeededRandom(seed: seed)
    var corpus = Corpus()
    func common() -> String { "c\(Int(random.unit() * random.unit() * random.unit() * 2_000))" }
    func word(of topic: Int) -> String { "t\(topic)w\(Int(random.unit() * random.unit() * 40))" }
    for id in 0..<1_500 {
      let topic = id % 60
      let length = 8 + Int(random.next(below: 60))
      corpus.documents[UInt64(id)] = (0..<length).map { _ in
        random.unit() < 0.15 ? word(of: topic) : common()
      }
    }
    for query in 0..<120 {
      let topic = query % 60
      corpus.queries.append([common(), word(of: topic), word(of: topic), common()])
      corpus.relevant.append((0..<1_500).filter { $0 % 60 == topic }.map { UInt64($0) })
    }
    return corpus
  }

  private func ndcg(_ index: TextIndex, _ corpus: Corpus) -> Double {
    var total = 0.0
    for (query, relevant) in zip(corpus.queries, corpus.relevant) {
      let wanted = Set(relevant)
      var gain = 0.0, ideal = 0.0
      for (rank, match) in index.search(query, limit: 10).enumerated()
      where wanted.contains(match.id) { gain += 1 / log2(Double(rank + 2)) }
      for rank in 0..<min(10, wanted.count) { ideal += 1 / log2(Double(rank + 2)) }
      total += ideal > 0 ? gain / ideal : 1
    }
    return total / Double(corpus.queries.count)
  }

  private func judged(_ corpus: Corpus, by python: String) throws -> Double {
    let object: [String: Any] = [
      "documents": Dictionary(
        uniqueKeysWithValues: corpus.documents.map { (String($0.key), $0.value) }),
      "queries": corpus.queries,
      "relevant": corpus.relevant.map { $0.map { Int($0) } },
    ]
    let json = try JSONSerialization.data(withJSONObject: object)
    directory.write(Array(json), "corpus.json")
    let outcome = try Self.run(python, ["-c", Self.judge, directory.file("corpus.json")])
    #expect(outcome.status == 0)
    return try #require(Double(outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)))
  }

  @Test func agreesWithRankBM25ThroughDeletesAndRestarts() throws {
    guard let python = try Self.python() else {
      if ProcessInfo.processInfo.environment["CI"] == "true" {
        Issue.record("no Python with rank_bm25; `make test` installs one")
      }
      return print("TextIndexJudgeTests: skipped, no Python with rank_bm25")
    }
    var corpus = corpus(seed: 17)
    var index = TextIndex()
    for (id, text) in corpus.documents { try index.add(text, id: id) }
    let ours = ndcg(index, corpus), theirs = try judged(corpus, by: python)
    print("TextIndexJudgeTests: nDCG@10 \(ours), rank_bm25 \(theirs)")
    #expect(abs(ours - theirs) <= 0.01)
    #expect((0.1..<0.999).contains(ours), "too easy or too hard to tell anything")
    for id in stride(from: UInt64(0), to: 1_500, by: 3) {
      index.remove(id: id)
      corpus.documents[id] = nil
    }
    corpus.relevant = corpus.relevant.map { $0.filter { $0 % 3 != 0 } }
    try index.save(to: directory.file("words"))
    let loaded = try TextIndex.load(from: directory.file("words"))
    let after = ndcg(loaded, corpus), theirsAfter = try judged(corpus, by: python)
    print("TextIndexJudgeTests: after deletes \(after), rank_bm25 \(theirsAfter)")
    #expect(abs(after - theirsAfter) <= 0.01)
  }
}
