import Base

/// Embeds without weights: words, pairs of words and pieces of words are hashed to signed places
/// ("Feature hashing for large scale multitask learning", Weinberger et al., 2009). It knows
/// spelling, not meaning; the fallback where the static weights are not installed.
package final class HashEmbedder: Embedder {
  package let id = "hash-1"
  package let weightsDigest = SHA256Digest(of: [UInt8]()).description
  /// Two unrelated texts differ from cosine 0 by about 1/√512 = 0.04 through collisions.
  package let dimension = 512

  /// How much a feature of each kind adds, against 1 for a word.
  private enum Weight {
    static let stopWord: Float = 0.1
    static let pair: Float = 0.4
    /// All pieces of one word together: a misspelt word still meets its right form.
    static let pieces: Float = 0.5
  }
  /// Letters of a piece.
  private static let pieceLength = 4

  package init() {}

  package func embed(_ text: String) -> [Float] {
    var counts: [UInt64: Float] = [:]
    let words = WordTokens(text).words
    var previous: [UInt8]?
    for word in words {
      if WordTokens.stopWords.contains(word) {
        counts[hash(kind: 1, word), default: 0] += Weight.stopWord
        continue
      }
      counts[hash(kind: 1, word), default: 0] += 1
      if let previous {
        counts[hash(kind: 2, previous + [0] + word), default: 0] += Weight.pair
      }
      addPieces(of: word, to: &counts)
      previous = word
    }
    return project(counts)
  }

  private func addPieces(of word: [UInt8], to counts: inout [UInt64: Float]) {
    let padded = [UInt8(ascii: "<")] + word + [UInt8(ascii: ">")]
    let pieces = padded.count - Self.pieceLength + 1
    guard pieces > 1 else { return }
    let weight = Weight.pieces / Float(pieces).squareRoot()
    for start in 0..<pieces {
      let piece = padded[start..<start + Self.pieceLength]
      counts[hash(kind: 3, piece), default: 0] += weight
    }
  }

  /// Counts to their square roots, so that a word said ten times is not ten words; then to places.
  private func project(_ counts: [UInt64: Float]) -> [Float] {
    var vector = [Float](repeating: 0, count: dimension)
    // In the order of the hashes: Float sums depend on order, and a Dictionary's is random.
    for (hash, count) in counts.sorted(by: { $0.key < $1.key }) {
      let place = Int(hash >> 32) & (dimension - 1)
      vector[place] += (hash & 1 == 0 ? 1 : -1) * count.squareRoot()
    }
    normalise(&vector)
    return vector
  }

  private func hash(kind: UInt8, _ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash = StableHash()
    hash.combine(kind)
    hash.combine(bytes)
    return hash.mixed
  }
}
