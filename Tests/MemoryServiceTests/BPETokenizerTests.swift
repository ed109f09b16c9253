import Base
import MemoryService
import Testing

// Contract: the lowest-ranked pair merges first, leftmost first, over the whole text; spaces are
// `▁` and one is put before each piece; specials are cut out; what is not in the vocabulary becomes
// its bytes, or one unknown token where it has none. The heap gives what a plain search gives.
// A file that is not such a tokenizer is a typed error.

@Suite struct BPETokenizerTests {
  private let tokenizer: BPETokenizer

  init() throws { tokenizer = try BPETokenizer(parsing: TinyModel.tokenizer()) }

  private func tokens(_ text: String) -> [UInt32] { tokenizer.encode(text) }

  @Test func mergesByRank() {
    #expect(tokens("ab") == [TinyModel.id("▁ab")])
    #expect(tokens("abc") == [TinyModel.id("▁"), TinyModel.id("abc")])
    #expect(tokens("aabc") == [TinyModel.id("▁a"), TinyModel.id("abc")])
    #expect(tokens("bc") == [TinyModel.id("▁"), TinyModel.id("bc")])
    #expect(tokens("") == [])
    #expect(tokens(" ") == [TinyModel.id("▁"), TinyModel.id("▁")])
  }

  @Test func escapedTokensAreFound() {
    #expect(tokens("\"") == [TinyModel.id("▁\"")])
    #expect(tokens("é") == [TinyModel.id("▁"), TinyModel.id("é")])
  }

  @Test func unknownCharactersAreBytes() throws {
    #expect(
      tokens("\u{1F98A}") == [TinyModel.id("▁")] + [243, 162, 169, 141])
    let bare = try BPETokenizer(parsing: TinyModel.tokenizer(unknownOnly: true))
    #expect(bare.encode("axyzb") == [TinyModel.id("▁a"), 0, TinyModel.id("b")])
  }

  @Test func specialsAreCutOut() {
    let a = TinyModel.id("▁a")
    let b = TinyModel.id("b")
    #expect(tokens("a</s>ab") == [a, 2, TinyModel.id("▁ab")])
    #expect(tokens("<s>") == [1])
    #expect(tokens("<s><unk>a") == [1, 0, a])
    #expect(tokens("a<sb") == [a, 63, 118, b])
  }

  /// 3,000 texts from the characters that merge, against the definition taken literally.
  @Test func agreesWithThePlainAlgorithm() {
    let random = SeededRandom(seed: 21)
    let alphabet = Array("aaabbbccé\" x").map(String.init)
    for _ in 0..<3_000 {
      let text = (0..<random.next(below: 24)).map { _ in
        alphabet[Int(random.next(below: UInt64(alphabet.count)))]
      }.joined()
      #expect(tokens(text) == plain(text), "\(text)")
    }
  }

  private func plain(_ text: String) -> [UInt32] {
    guard !text.isEmpty else { return [] }
    var symbols = ("▁" + text).map { $0 == " " ? "▁" : String($0) }
    let ranks = Dictionary(
      uniqueKeysWithValues: TinyModel.merges.enumerated().map { ($1, $0) })
    while symbols.count > 1 {
      let pairs = symbols.indices.dropLast().compactMap { index in
        ranks["\(symbols[index]) \(symbols[index + 1])"].map { (rank: $0, index: index) }
      }
      guard let best = pairs.min(by: { ($0.rank, $0.index) < ($1.rank, $1.index) }) else { break }
      symbols[best.index] += symbols.remove(at: best.index + 1)
    }
    return symbols.flatMap { symbol in
      TinyModel.tokens.contains(symbol)
        ? [TinyModel.id(symbol)] : symbol.utf8.map { UInt32($0) + 3 }
    }
  }

  @Test func longTextsTakeTheirTimeOnly() {
    // Quadratic work on this would take minutes.
    let text = String(repeating: "ab c", count: 20_000)
    #expect(tokens(text).count == 60_000)
  }

  @Test func otherFilesAreRefused() throws {
    let good = TinyModel.tokenizer()
    let wrong: [[UInt8]] = [
      Array("{}".utf8), Array("[1]".utf8), Array("{\"model\":{\"type\":\"Unigram\"}}".utf8),
      Array("{\"model\":{\"type\":\"BPE\"}}".utf8),
      TinyModel.tokenizer(merges: ["a missing"]), TinyModel.tokenizer(merges: ["ab"]),
      TinyModel.tokenizer(merges: ["a c"]),
      TinyModel.tokenizer(preTokenizer: ["type": "Metaspace"]),
    ]
    for bytes in wrong {
      #expect(throws: MemoryError.self) { try BPETokenizer(parsing: bytes) }
    }
    #expect(throws: MemoryError.self) { try BPETokenizer(path: "/nonexistent") }
    // Cut anywhere it is refused, or read as far as it goes: never a trap.
    for length in stride(from: 0, to: good.count, by: 7) {
      _ = try? BPETokenizer(parsing: Array(good[..<length]))
    }
  }
}
