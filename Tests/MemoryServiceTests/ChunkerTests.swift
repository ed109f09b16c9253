import Base
import MemoryService
import Testing

// Contract: pieces are within the limit, hold every word of the document in order and nothing
// else, name the headings above them, and never cut a code block in two unless it is too long.

@Suite struct ChunkerTests {
  private func chunks(_ text: String, _ tokensMax: Int = 60) -> [KnowledgeChunk] {
    Chunker(tokensMax: tokensMax).chunks(of: text, document: "d.md")
  }

  @Test func headingsMakePaths() {
    let text = """
      Before.

      # One
      First.
      ## Two ##
      Second,
      still second.

      ### Three
      # Four
      \tLast.
      #not a heading
      ####### nor this
      """
    #expect(chunks(text).map(\.heading) == [nil, "One", "One › Two", "Four"])
    #expect(
      chunks(text).map(\.text) == [
        "Before.", "First.", "Second,\nstill second.",
        "Last.\n#not a heading\n####### nor this",
      ])
  }

  @Test func codeBlocksKeepTheirMarks() {
    let text = "# A\n```sh\n# a comment\n\nls\n```\nafter\n\n~~~~\n# x\n```\n~~~~\n# B\nend"
    #expect(chunks(text).map(\.heading) == ["A", "B"])
    #expect(chunks(text)[0].text.hasPrefix("```sh\n# a comment\n\nls\n```\nafter"))
  }

  @Test func paragraphsAreJoinedWhileTheyFit() {
    let paragraph = "Ten words of text that make up one small paragraph."
    let text = Array(repeating: paragraph, count: 9).joined(separator: "\n\n")
    let found = chunks(text)
    #expect(found.count > 1)
    #expect(found[0].text.contains("\n\n"))
    #expect(found.allSatisfy { $0.text.hasSuffix("paragraph.") })
  }

  @Test func emptyDocuments() {
    for text in ["", "\n\n", "# Only a heading\n", " \t "] { #expect(chunks(text).isEmpty) }
  }

  /// 300 random documents of words, headings, code and long runs.
  @Test(arguments: [16, 40, 200]) func nothingIsLostAndNothingTooLong(_ tokensMax: Int) {
    let random = SeededRandom(seed: UInt64(tokensMax))
    for _ in 0..<100 {
      let text = document(random)
      let found = chunks(text, tokensMax)
      for chunk in found {
        #expect(Chunker.estimatedTokens(chunk.text) <= tokensMax)
        #expect(!chunk.text.isEmpty)
      }
      let letters = { (text: String) in text.filter { !$0.isWhitespace } }
      let body = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("# ") }
      #expect(letters(found.map(\.text).joined()) == letters(body.joined()))
    }
  }

  private func document(_ random: SeededRandom) -> String {
    let parts = (0..<random.next(below: 30)).map { _ in
      switch random.next(below: 7) {
      case 0: "\n# Heading \(random.next(below: 9))\n"
      case 1: "\n\n"
      case 2: String(repeating: "東京", count: Int(random.next(below: 90)))
      case 3: String(repeating: "x", count: Int(random.next(below: 900)))
      case 4: "\r\n"
      default: String(repeating: "some words. ", count: Int(random.next(below: 40)))
      }
    }
    return parts.joined()
  }

  @Test func idsAreOfTheContent() {
    let base = KnowledgeChunk(document: "a", heading: "b", text: "c")
    #expect(base.id == SHA256Digest(of: "a\0b\0c").description)
    #expect(base.id != KnowledgeChunk(document: "a", heading: nil, text: "c").id)
  }

  @Test func limitsAreClamped() {
    #expect(Chunker(tokensMax: 0).tokensMax == Chunker.tokensRange.lowerBound)
    #expect(Chunker(tokensMax: .max).tokensMax == Chunker.tokensRange.upperBound)
  }

  @Test func estimates() {
    #expect(Chunker.estimatedTokens("") == 0)
    #expect(Chunker.estimatedTokens("the queue") == 3)
    #expect(Chunker.estimatedTokens(String(repeating: "x", count: 400)) == 100)
  }
}
