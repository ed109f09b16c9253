package import VectorIndex

/// The vectors of a pack's chunks, by the chunk's number, in an HNSW index of cosine.
package final class VectorStoreAdapter: Sendable {
  /// Candidates of a walk: with these an index of some thousand chunks finds what a scan finds.
  private static let efSearch = 128
  /// Draws the layers: fixed, so that the same pack gives the same file.
  private static let seed: UInt64 = 0x6B66_6D31

  private let index: VectorIndex
  /// Watches the recall of `nearest` on a sample of its questions.
  package let probe: RecallProbe

  package init(
    dimension: Int, attributes: IndexAttributes = IndexAttributes()
  ) throws(MemoryError) {
    do {
      index = try VectorIndex(
        options: .init(dimension: dimension, metric: .cosine, seed: Self.seed),
        attributes: attributes)
    } catch { throw .indexRefused(reason: error.description) }
    probe = RecallProbe(index, options: .init(ef: Self.efSearch))
  }

  /// Reads a file that `save` wrote; `dimension` and `attributes` are what it must hold: vectors
  /// of two embedders are never mixed.
  package init(
    path: String, dimension: Int, attributes: IndexAttributes = IndexAttributes()
  ) throws(MemoryError) {
    do { index = try VectorIndex.load(from: path) } catch {
      throw .malformed(path: path, reason: error.description)
    }
    guard index.options.dimension == dimension, index.options.metric == .cosine else {
      throw .malformed(path: path, reason: "vectors of another dimension or metric")
    }
    guard index.attributes == attributes else {
      throw .malformed(path: path, reason: "vectors of another embedder or chunker")
    }
    probe = RecallProbe(index, options: .init(ef: Self.efSearch))
  }

  package var count: Int { index.count }

  /// Adds the vector of a chunk; zeros, which nothing is near to, are left out.
  package func add(_ vector: [Float], chunk: Int) throws(MemoryError) {
    guard vector.contains(where: { $0 != 0 }) else { return }
    do { try index.add(vector, id: UInt64(chunk)) } catch {
      throw .indexRefused(reason: error.description)
    }
  }

  /// The chunks nearest in direction, nearest first, with their cosine.
  package func nearest(to vector: [Float], limit: Int) throws(MemoryError)
    -> [(chunk: Int, cosine: Float)]
  {
    probe.observe(vector)
    do {
      let found = try index.search(vector, k: limit, ef: max(Self.efSearch, limit))
      return found.map { (Int($0.id), 1 - $0.distance) }
    } catch { throw .indexRefused(reason: error.description) }
  }

  /// The cosine of one chunk with a vector of length 1; nil for a chunk without a vector.
  package func cosine(chunk: Int, with vector: [Float]) -> Float? {
    index.vector(for: UInt64(chunk)).map { dotProduct($0, vector) }
  }

  package func save(to path: String) throws(MemoryError) {
    do { try index.save(to: path) } catch {
      throw .malformed(path: path, reason: error.description)
    }
  }
}
