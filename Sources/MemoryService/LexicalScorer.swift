import Glibc

/// Okapi BM25 over the words of each chunk ("The Probabilistic Relevance Framework", Robertson and
/// Zaragoza, 2009): finds names and rare words that a vector blurs.
package struct LexicalScorer: Sendable {
  /// The usual values: how soon a repeated word stops counting, how much length counts.
  private static let k1: Float = 1.2
  private static let b: Float = 0.75

  private struct Posting: Sendable {
    var term: UInt64
    var chunk: UInt32
    var count: UInt16
  }

  /// Sorted by term, then chunk.
  private let postings: [Posting]
  private let lengths: [UInt32]
  private let meanLength: Float

  package init(texts: [String]) {
    var postings: [Posting] = []
    var lengths: [UInt32] = []
    for (chunk, text) in texts.enumerated() {
      let terms = Self.terms(text).sorted()
      lengths.append(UInt32(clamping: terms.count))
      var at = 0
      while at < terms.count {
        let end = terms[at...].firstIndex { $0 != terms[at] } ?? terms.count
        postings.append(
          Posting(term: terms[at], chunk: UInt32(chunk), count: UInt16(clamping: end - at)))
        at = end
      }
    }
    postings.sort { ($0.term, $0.chunk) < ($1.term, $1.chunk) }
    self.postings = postings
    self.lengths = lengths
    let total = lengths.reduce(0) { $0 + Int($1) }
    meanLength = Float(max(total, 1)) / Float(max(lengths.count, 1))
  }

  /// The `limit` chunks that match best, best first; none that shares no word.
  package func best(_ query: String, limit: Int) -> [(chunk: Int, score: Float)] {
    var scores: [UInt32: Float] = [:]
    // Sorted: sums of Float depend on their order, and a Set's is random.
    for term in Set(Self.terms(query)).sorted() {
      let matches = postings[range(of: term)]
      let found = Float(matches.count)
      let weight = log2((Float(lengths.count) - found + 0.5) / (found + 0.5) + 1)
      for posting in matches {
        let count = Float(posting.count)
        let length = Float(lengths[Int(posting.chunk)]) / meanLength
        let saturated =
          count * (Self.k1 + 1) / (count + Self.k1 * (1 - Self.b + Self.b * length))
        scores[posting.chunk, default: 0] += weight * saturated
      }
    }
    let ranked = scores.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    return ranked.prefix(limit).map { (Int($0.key), $0.value) }
  }

  private static func terms(_ text: String) -> [UInt64] {
    WordTokens(text).words.filter { !WordTokens.stopWords.contains($0) }.map { word in
      var hash = StableHash()
      hash.combine(word)
      return hash.mixed
    }
  }

  private func range(of term: UInt64) -> Range<Int> {
    let start = partition { $0.term < term }
    return start..<partition { $0.term <= term }
  }

  /// The number of postings, from the start, for which `isBefore` holds.
  private func partition(_ isBefore: (Posting) -> Bool) -> Int {
    var low = 0, high = postings.count
    while low < high {
      let middle = (low + high) / 2
      if isBefore(postings[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
