import Base
import Glibc

/// A retrieval benchmark in BEIR's layout: `corpus.jsonl` (`_id title text`), `queries.jsonl` (`_id
/// text`), and `qrels.tsv` or `qrels/test.tsv` (query, document, relevance, with a line of titles).
struct RagCorpus {
  struct Document {
    var id: String
    var text: String
  }

  var documents: [Document]
  /// Those that have a judgement.
  var queries: [Document]
  /// By query, then document: above 0 is relevant.
  var judgements: [String: [String: Int]]

  /// Bytes of a file: its text is kept in memory.
  private static let fileBytesMax = 2 << 30

  init(directory: String) throws(DatasetError) {
    documents = try Self.lines(Path.join(directory, "corpus.jsonl")) { line in
      guard let id = line["_id"]?.string, let text = line["text"]?.string else { return nil }
      let title = line["title"]?.string ?? ""
      return Document(id: id, text: title.isEmpty ? text : "\(title)\n\(text)")
    }
    let queries = try Self.lines(Path.join(directory, "queries.jsonl")) { line in
      guard let id = line["_id"]?.string, let text = line["text"]?.string else { return nil }
      return Document(id: id, text: text)
    }
    let candidates = ["qrels.tsv", "qrels/test.tsv"].map { Path.join(directory, $0) }
    guard let path = candidates.first(where: { access($0, R_OK) == 0 }) else {
      throw DatasetError("\(directory): expected qrels.tsv or qrels/test.tsv")
    }
    judgements = try Self.judgements(path)
    let judged = judgements
    self.queries = queries.filter { judged[$0.id] != nil }
    guard !self.queries.isEmpty, !documents.isEmpty else {
      throw DatasetError("\(directory): no query that has a judgement, or no documents")
    }
  }

  init(documents: [Document], queries: [Document], judgements: [String: [String: Int]]) {
    self.documents = documents
    self.queries = queries
    self.judgements = judgements
  }

  private static func text(_ path: String) throws(DatasetError) -> String {
    guard let text = TextFile.read(path, limit: fileBytesMax) else {
      throw DatasetError("\(path): cannot be read as UTF-8")
    }
    return text
  }

  private static func lines(_ path: String, _ read: (JSON) -> Document?) throws(DatasetError)
    -> [Document]
  {
    var documents: [Document] = []
    for (number, line) in try text(path).utf8.split(separator: UInt8(ascii: "\n")).enumerated() {
      let json: JSON
      do throws(JSONError) { json = try JSON(parsing: Array(line)) } catch {
        throw DatasetError("\(path):\(number + 1): \(error)")
      }
      guard let document = read(json) else {
        throw DatasetError("\(path):\(number + 1): expected the members _id and text")
      }
      documents.append(document)
    }
    return documents
  }

  private static func judgements(_ path: String) throws(DatasetError)
    -> [String: [String: Int]]
  {
    var judgements: [String: [String: Int]] = [:]
    for (number, line) in try text(path).split(separator: "\n").enumerated() {
      let fields = line.split(separator: "\t").map { String($0.filter { $0 != "\r" }) }
      // TREC's form has a column of zeros in between.
      guard fields.count == 3 || fields.count == 4, let relevance = Int(fields[fields.count - 1])
      else {
        if number == 0 { continue }
        throw DatasetError("\(path):\(number + 1): expected query, document and relevance")
      }
      judgements[fields[0], default: [:]][fields[fields.count - 2]] = relevance
    }
    return judgements
  }
}

/// How good a ranking is.
enum RankingQuality {
  /// The share of the relevant documents that are among the first k.
  static func recall(_ ranking: [String], _ judged: [String: Int], k: Int) -> Double {
    let relevant = judged.filter { $0.value > 0 }.keys
    guard !relevant.isEmpty else { return 1 }
    let first = Set(ranking.prefix(k))
    return Double(relevant.count { first.contains($0) }) / Double(relevant.count)
  }

  /// Normalised discounted cumulative gain with linear gains, as trec_eval counts it.
  static func ndcg(_ ranking: [String], _ judged: [String: Int], k: Int) -> Double {
    func gain(_ relevances: [Int]) -> Double {
      var sum = 0.0
      for (rank, relevance) in relevances.prefix(k).enumerated() where relevance > 0 {
        sum += Double(relevance) / log2(Double(rank + 2))
      }
      return sum
    }
    let ideal = gain(judged.values.sorted(by: >))
    guard ideal > 0 else { return 1 }
    return gain(ranking.map { judged[$0] ?? 0 }) / ideal
  }
}
