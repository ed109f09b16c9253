import MemoryService
import Testing

// Contract: the same text gives the same vector in every process; its length is 1; texts that
// share words are nearer than texts that share none; empty text is zeros.

@Suite struct HashEmbedderTests {
  private let embedder = HashEmbedder()

  private func cosine(_ left: String, _ right: String) -> Float {
    zip(embedder.embed(left), embedder.embed(right)).reduce(0) { $0 + $1.0 * $1.1 }
  }

  @Test func lengthOneOrZero() {
    for text in ["word", "io_uring", "東京 🦊", "a", String(repeating: "x", count: 100_000)] {
      #expect(abs(cosine(text, text) - 1) < 1e-4, "\(text.prefix(20))")
    }
    #expect(embedder.embed("").allSatisfy { $0 == 0 })
    #expect(embedder.embed(" … ?!").allSatisfy { $0 == 0 })
  }

  /// Pinned: an index on disk would be worthless if another build embedded otherwise.
  @Test func theSameInEveryProcess() {
    let places = embedder.embed("queue").enumerated().filter { $0.element != 0 }.map(\.offset)
    #expect(places == HashEmbedderTests.queuePlaces)
  }

  static let queuePlaces = [217, 224, 234, 345, 457]

  @Test func sharedWordsAreNear() {
    let question = "How does HNSW choose neighbours?"
    let right = "HNSW chooses the neighbours of a node by a heuristic."
    #expect(cosine(question, right) > 0.4)
    #expect(cosine(question, "A consumer group shares the partitions of a topic.") < 0.15)
    #expect(cosine("neighbor", "neighbours") > 0.2)
    #expect(cosine("what is the", "where was that") < 0.3)
  }
}
