package import Events

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
  /// The constant of reciprocal rank fusion ("Reciprocal rank fusion outperforms Condorcet",
  /// Cormack et al., 2009).
  private static let fusionConstant: Float = 60

  init(
    name: KnowledgeIndexName, origin: Origin, chunks: [KnowledgeChunk],
    vectors: VectorStoreAdapter, embedder: any Embedder
  ) {
    self.name = name
    self.origin = origin
    self.chunks = chunks
    self.vectors = vectors
    self.embedder = embedder
    lexical = LexicalScorer(texts: chunks.map(\.lexicalText))
  }

  /// The passages that answer `question` best, best first: ranked by meaning and by words, the two
  /// ranks fused; `score` is the cosine, and none below `settings.minScore` is among them.
  package func passages(
    for question: String, settings: Personality.KnowledgeSettings
  ) throws(MemoryError) -> [Passage] {
    let question = Self.bounded(question)
    let vector = embedder.embed(question)
    guard !chunks.isEmpty, settings.topK > 0, vector.contains(where: { $0 != 0 }) else {
      return []
    }
    let candidates = min(chunks.count, max(Self.candidatesMin, settings.topK * 4))
    let near = try vectors.nearest(to: vector, limit: candidates)
    var fused: [Int: Float] = [:]
    for (rank, candidate) in near.enumerated() { fused[candidate.chunk] = Self.share(rank) }
    for (rank, match) in lexical.best(question, limit: candidates).enumerated() {
      fused[match.chunk, default: 0] += Self.share(rank)
    }
    var passages: [Passage] = []
    for chunk in fused.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }).map(\.key) {
      guard let cosine = vectors.cosine(chunk: chunk, with: vector),
        Double(cosine) >= settings.minScore
      else { continue }
      passages.append(passage(chunk, score: Double(cosine)))
      if passages.count == settings.topK { break }
    }
    return passages
  }

  private static func share(_ rank: Int) -> Float { 1 / (fusionConstant + Float(rank + 1)) }

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
