import MemoryService
import Testing

// Contract: words are lower-case runs of letters, digits and `_`; compounds count whole and in
// parts; plural endings go; no run is longer than the limit.

@Suite struct WordTokensTests {
  private func words(_ text: String) -> [String] {
    WordTokens(text).words.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func words() {
    #expect(
      words("What does io_uring's Queue hold?") == [
        "what", "doe", "io_uring", "io", "uring", "s", "queue", "hold",
      ])
    #expect(
      words("neighbours queries class status gas its") == [
        "neighbour", "query", "class", "status", "gas", "its",
      ])
    #expect(words("ÄPFEL 東京") == ["äpfel", "東京"])
    #expect(words("__ _ -- ") == [])
    #expect(words("_a__b_") == ["_a__b_", "a", "b"])
  }

  @Test func longRunsAreCut() {
    let long = words(String(repeating: "é", count: 1_000))
    #expect(long.count == 1)
    #expect(long[0].utf8.count <= WordTokens.wordBytesMax + 4)
  }
}
