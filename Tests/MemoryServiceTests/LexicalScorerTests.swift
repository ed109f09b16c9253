import MemoryService
import Testing

// Contract: rare words weigh more than common ones, short texts more than long ones, repetition
// saturates, stop words count for nothing, equal scores go to the earlier chunk.

@Suite struct LexicalScorerTests {
  @Test func ranks() {
    let scorer = LexicalScorer(texts: [
      "the ring and the ring and the loop", "a loop", "a loop and a segment", "nothing here",
    ])
    #expect(scorer.best("ring loop", limit: 9).map(\.chunk) == [0, 1, 2])
    #expect(scorer.best("loops", limit: 1).map(\.chunk) == [1])
    #expect(scorer.best("the and a", limit: 9).isEmpty)
    #expect(scorer.best("absent", limit: 9).isEmpty)
    #expect(scorer.best("", limit: 9).isEmpty)
  }

  @Test func equalScoresInOrder() {
    let scorer = LexicalScorer(texts: Array(repeating: "one ring", count: 5))
    #expect(scorer.best("ring", limit: 3).map(\.chunk) == [0, 1, 2])
    #expect(LexicalScorer(texts: []).best("ring", limit: 3).isEmpty)
  }
}
