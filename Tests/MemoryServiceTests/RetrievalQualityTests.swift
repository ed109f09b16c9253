import Events
import MemoryService
import TestSupport
import Testing

// Contract: of ten small documents the one that answers comes first, for at least nine questions
// of ten with the hash embedder and with the static one (skipped without its weights); what is
// below the minimum score is left out, and the score is a cosine.

@Suite struct RetrievalQualityTests {
  private let directory = TemporaryDirectory("memory")

  private func hits(_ source: EmbedderSource) throws -> Int {
    let library = KnowledgeLibrary(directory: directory.path, embedder: source)
    let index = try library.open(SampleKnowledge.source())
    var hits = 0
    for (question, document) in SampleKnowledge.questions {
      let found = try index.passages(for: question, settings: .init(topK: 3))
      #expect(found.count == 3)
      #expect(found.allSatisfy { (-1...1.0001).contains($0.score) })
      if found.first?.document == document { hits += 1 }
    }
    return hits
  }

  @Test func hashEmbedder() throws {
    #expect(try hits(EmbedderSource(choice: .hash, modelDirectories: [])) >= 9)
  }

  @Test(
    .enabled(
      if: StaticEmbedderTests.source.weights != nil,
      "the static weights are not installed: `make model`, or set KFM_TEST_MODELS"))
  func staticEmbedder() throws { #expect(try hits(StaticEmbedderTests.source) >= 9) }

  @Test func minimumScoreAndCount() throws {
    let library = KnowledgeLibrary(
      directory: directory.path, embedder: .init(choice: .hash, modelDirectories: []))
    let index = try library.open(SampleKnowledge.source())
    let question = SampleKnowledge.questions[0].question
    let all = try index.passages(for: question, settings: .init(topK: 100, minScore: -1))
    #expect(all.count == index.chunks.count)
    let limit = all[0].score
    let above = try index.passages(for: question, settings: .init(topK: 100, minScore: limit))
    #expect(!above.isEmpty)
    #expect(above.allSatisfy { $0.score >= limit })
    #expect(try index.passages(for: question, settings: .init(minScore: 1.1)).isEmpty)
    #expect(try index.passages(for: question, settings: .init(topK: 0)).isEmpty)
    #expect(try index.passages(for: "?!", settings: .init()).isEmpty)
  }

  /// A question of megabytes is bounded, also where the bound cuts a character.
  @Test func longQuestions() throws {
    let library = KnowledgeLibrary(
      directory: directory.path, embedder: .init(choice: .hash, modelDirectories: []))
    let index = try library.open(SampleKnowledge.source())
    // 4,096 bytes end inside the last character of a repetition.
    let long = "xxxxxxxxxx " + String(repeating: "fdatasync 東 ", count: 300_000)
    #expect(Array(long.utf8)[KnowledgeIndex.questionBytesMax] & 0xC0 == 0x80)
    let found = try index.passages(for: long, settings: .init(topK: 1))
    #expect(found.first?.document == "durability.md")
  }
}
