import VectorIndex

/// The words of each chunk, ranked by BM25: finds names and rare words that a vector blurs. Texts
/// are cut into words as `WordTokens` does it, without stop words.
package struct LexicalScorer: Sendable {
  private var index: TextIndex

  /// Chunk i has the words of `texts[i]`.
  package init(texts: [String]) {
    index = TextIndex()
    for (chunk, text) in texts.enumerated() {
      do throws(VectorIndexError) {
        try index.add(hashes: Self.terms(text), id: UInt64(chunk))
      } catch {
        // Ids count up from 0, and a pack has fewer chunks than an index has room for.
        preconditionFailure("\(error)")
      }
    }
  }

  /// Reads a file that `save` wrote.
  package init(path: String) throws(MemoryError) {
    do throws(VectorIndexError) { index = try TextIndex.load(from: path) } catch {
      throw .malformed(path: path, reason: error.description)
    }
  }

  package func save(to path: String) throws(MemoryError) {
    do throws(VectorIndexError) { try index.save(to: path) } catch {
      throw .malformed(path: path, reason: error.description)
    }
  }

  package var count: Int { index.count }

  package mutating func remove(chunk: Int) { index.remove(id: UInt64(chunk)) }

  /// The `limit` chunks that match best, best first; none that shares no word.
  package func best(_ query: String, limit: Int) -> [(chunk: Int, score: Float)] {
    index.search(hashes: Self.terms(query), limit: limit).map { (Int($0.id), Float($0.score)) }
  }

  private static func terms(_ text: String) -> [UInt64] {
    WordTokens(text).words.filter { !WordTokens.stopWords.contains($0) }.map(TextIndex.hash)
  }
}
