package import Events
package import VectorIndex

/// What a pack knows, ready to be asked: its chunks, their vectors and their words. Does not
/// change once it is made, so that the loop and side threads may hold it at once.
package final class KnowledgeIndex: Sendable {
  /// Whether an index was found on disk.
  package enum Origin: Sendable, Hashable {
    case loaded
    case built
    /// There was one, but it could not be used.
    case rebuilt(reason: String)
    /// It serves, but could not be written: the next start builds it again.
    case unsaved(reason: String)
  }

  package let name: KnowledgeIndexName
  package let origin: Origin
  package let chunks: [KnowledgeChunk]
  private let vectors: VectorStoreAdapter
  private let lexical: LexicalScorer
  private let embedder: any Embedder

  /// Bytes of a question that are embedded: a longer one is about many things, and its mean about
  /// none; this keeps the time on the loop below a millisecond.
  package static let questionBytesMax = 4_096
  /// Chunks that each of the two rankings hands to the fusion, at least.
  private static let candidatesMin = 32

  init(
    name: KnowledgeIndexName, origin: Origin, content: KnowledgeIndexStore.Content,
    embedder: any Embedder
  ) {
    self.name = name
    self.origin = origin
    chunks = content.chunks
    vectors = content.vectors
    lexical = content.lexical
    self.embedder = embedder
  }

  /// How often the walk over the vectors finds what a scan finds, on questions that were asked.
  package var probe: RecallProbe { vectors.probe }

  /// The passages that answer `question` best, best first, ranked as `mode` says; `score` is the
  /// cosine, and none below `settings.minScore` is among them.
  package func passages(
    for question: String, settings: Personality.KnowledgeSettings, mode: SearchMode = .hybrid
  ) throws(MemoryError) -> [Passage] {
    let question = Self.bounded(question)
    let vector = embedder.embed(question)
    guard !chunks.isEmpty, settings.topK > 0, vector.contains(where: { $0 != 0 }) else {
      return []
    }
    var passages: [Passage] = []
    for chunk in try ranked(question, vector, mode, wanted: settings.topK) {
      guard let cosine = vectors.cosine(chunk: chunk, with: vector),
        Double(cosine) >= settings.minScore
      else { continue }
      passages.append(passage(chunk, score: Double(cosine)))
      if passages.count == settings.topK { break }
    }
    return passages
  }

  /// Chunks, best first.
  private func ranked(_ question: String, _ vector: [Float], _ mode: SearchMode, wanted: Int)
    throws(MemoryError) -> [Int]
  {
    let candidates = min(chunks.count, max(Self.candidatesMin, wanted * 4))
    var rankings: [[UInt64]] = []
    if mode != .text {
      let near = try vectors.nearest(to: vector, limit: candidates)
      rankings.append(near.map { UInt64($0.chunk) })
    }
    if mode != .vector {
      let matches = lexical.best(question, limit: candidates)
      rankings.append(matches.map { UInt64($0.chunk) })
    }
    return RankFusion.reciprocal(rankings).map { Int($0.id) }
  }

  private func passage(_ index: Int, score: Double) -> Passage {
    let chunk = chunks[index]
    return Passage(
      document: chunk.document, heading: chunk.heading, text: chunk.text, score: score,
      chunkID: chunk.id)
  }

  private static func bounded(_ question: String) -> String {
    guard question.utf8.count > questionBytesMax else { return question }
    // A character cut in two becomes U+FFFD, which means nothing to an embedder.
    return String(decoding: question.utf8.prefix(questionBytesMax), as: UTF8.self)
  }
}
