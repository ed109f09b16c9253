import Base
import Glibc
import MemoryService
import TestSupport
import Testing

// Contract: the vector is the mean of the tokens' rows; `embed` scales it to length 1; broken
// files are typed errors. With the real weights (KFM_TEST_MODELS, or `.models` in the package)
// the five reference vectors come out, within the rounding of Float16 sums; without them those
// tests are skipped and say so.

@Suite struct StaticEmbedderTests {
  private let directory = TemporaryDirectory("memory")

  private func tiny(weights: [UInt8] = TinyModel.weights()) throws -> StaticEmbedder {
    try StaticEmbedder(
      weightsPath: directory.write(weights, "tiny.safetensors"),
      tokenizerPath: directory.write(TinyModel.tokenizer(), "tokenizer.json"))
  }

  @Test func theMeanOfTheRows() throws {
    let embedder = try tiny()
    #expect(embedder.dimension == 3)
    let tokens = embedder.tokens("abc")
    let mean = Float(TinyModel.id("▁") + TinyModel.id("abc")) / 2
    #expect(embedder.mean(of: tokens) == [mean, -mean / 2, 1])
    #expect(embedder.mean(of: []) == [0, 0, 0])
    let vector = embedder.embed("abc")
    #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
    #expect(abs(vector[0] / vector[2] - mean) < 0.01)
    #expect(embedder.embed("") == [0, 0, 0])
    embedder.releaseMemory()
    #expect(embedder.embed("abc") == vector)
  }

  @Test func nameAndDigestFollowTheFiles() throws {
    let first = try tiny()
    #expect(first.id == "static-1:tiny")
    #expect(first.weightsDigest.count == 64)
    var other = TinyModel.weights()
    other[other.count - 1] ^= 1
    #expect(try tiny(weights: other).weightsDigest != first.weightsDigest)
  }

  @Test func brokenWeightsAreRefused() throws {
    let good = TinyModel.weights()
    for length in 0..<good.count where length < 200 || length == good.count - 1 {
      #expect(throws: MemoryError.self, "\(length)") {
        try tiny(weights: Array(good[..<length]))
      }
    }
    #expect(throws: MemoryError.self) { try tiny(weights: TinyModel.weights(dtype: "F32")) }
    #expect(throws: MemoryError.self) { try tiny(weights: TinyModel.weights(rows: 1_000_000)) }
    // A header length beyond any file.
    #expect(throws: MemoryError.self) {
      try tiny(weights: [UInt8](repeating: 0xFF, count: 8) + good.dropFirst(8))
    }
  }

  /// A token beyond the table adds nothing instead of reading outside.
  @Test func rowsThatAreMissing() throws {
    #expect(try tiny().mean(of: [9_999_999]) == [0, 0, 0])
  }

  @Test func everyHalfFloat() {
    for bits in UInt16.min...UInt16.max {
      let expected = Float(Float16(bitPattern: bits))
      guard expected.isFinite else { continue }
      #expect(HalfFloatRows.float(bits).bitPattern == expected.bitPattern)
    }
  }

  // MARK: Real weights

  static let source: EmbedderSource = {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let environment = getenv("KFM_TEST_MODELS").map { String(cString: $0) }
    return EmbedderSource(
      choice: .staticWeights, modelDirectories: [environment ?? "/\(root)/.models"])
  }()

  static let references: [(text: String, ids: [UInt32], mean: [Float], norm: Float)] = [
    (
      "hello world", [22172, 3186],
      [0.621704, 0.512482, 0.102905, -0.508545, 0.083023, 0.436813, 0.062988, -0.562988], 7.131845
    ),
    (
      "The quick brown fox jumps over the lazy dog.",
      [450, 4996, 17354, 1701, 29916, 432, 17204, 975, 278, 17366, 11203, 29889],
      [0.102273, -0.050045, 0.012189, 0.218895, 0.155156, -0.070223, -0.064411, 0.3786], 3.401610
    ),
    (
      "  two  spaces\nand a newline", [259, 1023, 29871, 8162, 13, 392, 263, 25899],
      [0.160889, -0.311064, 0.192871, -0.267487, -0.397474, 0.018723, -0.255888, -0.780954],
      4.228378
    ),
    (
      "naïve café 東京 🦊",
      [1055, 30085, 345, 274, 28059, 29871, 30591, 30675, 29871, 243, 162, 169, 141],
      [-0.242667, 0.126543, 0.075355, -0.285353, -0.029222, -0.095733, 0.442812, 0.143252],
      2.813150
    ),
    (
      "func main() { print(\"hi\") }", [3653, 1667, 580, 426, 1596, 703, 2918, 1159, 500],
      [0.317698, 0.117988, 0.077582, -0.384369, -0.061795, 0.262912, -0.053955, 0.14011], 3.877647
    ),
  ]

  @Test(
    .enabled(
      if: source.weights != nil,
      "the static weights are not installed: `make model`, or set KFM_TEST_MODELS"))
  func theReferenceVectors() throws {
    let files = try #require(Self.source.weights)
    let embedder = try StaticEmbedder(
      weightsPath: files.weights, tokenizerPath: files.tokenizer)
    for reference in Self.references {
      #expect(embedder.tokens(reference.text) == reference.ids)
      let mean = embedder.mean(of: reference.ids)
      for (value, expected) in zip(mean, reference.mean) { #expect(abs(value - expected) < 2e-6) }
      let norm = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(norm - reference.norm) < 1e-5)
    }
    #expect(embedder.tokens("a</s>b <s> c") == [263, 2, 289, 29871, 1, 29871, 274])
    #expect(embedder.embed("") == [Float](repeating: 0, count: 256))
  }
}
