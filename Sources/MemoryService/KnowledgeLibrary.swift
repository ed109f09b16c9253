package import Events
import Base
import Synchronization

/// Bounds on what one pack may know; over one of them the pack's index is refused.
package enum KnowledgeLimits {
  /// Bytes of all documents: an index keeps their text in memory.
  package static let bytesMax = 64 << 20
  /// Chunks: at 256 dimensions, about 100 MB of vectors.
  package static let chunksMax = 100_000
}

/// Where a pack's knowledge comes from.
package struct KnowledgeSource: Sendable {
  package var packDigest: String
  package var chunkTokens: Int
  /// The documents, read when an index has to be built and not before.
  package var documents: @Sendable () -> [Personality.Document]

  package init(
    packDigest: String, chunkTokens: Int,
    documents: @escaping @Sendable () -> [Personality.Document]
  ) {
    self.packDigest = packDigest
    self.chunkTokens = chunkTokens
    self.documents = documents
  }
}

/// The indexes of all packs, on disk under `index_dir`. Its functions read files and embed
/// documents: they are called from side threads.
package final class KnowledgeLibrary: Sendable {
  private let store: KnowledgeIndexStore
  private let source: EmbedderSource
  /// Made at first use: loading the weights must not delay the start.
  private let shared = Mutex<Result<any Embedder, MemoryError>?>(nil)

  /// - Parameter directory: `memory.index_dir`; made when it is missing.
  package init(directory: String, embedder: EmbedderSource) {
    store = KnowledgeIndexStore(directory: directory)
    source = embedder
  }

  /// The node's embedder.
  package func embedder() throws(MemoryError) -> any Embedder {
    let result = shared.withLock { shared in
      if let made = shared { return made }
      let made: Result<any Embedder, MemoryError>
      do throws(MemoryError) { made = .success(try source.open()) } catch {
        made = .failure(error)
      }
      shared = made
      return made
    }
    return try result.get()
  }

  /// Loads the index of a pack; builds it where there is none that fits embedder, weights,
  /// dimension and chunker (SEMANTICS D31). An index that cannot be written still serves until
  /// the node stops.
  package func open(_ source: KnowledgeSource) throws(MemoryError) -> KnowledgeIndex {
    let embedder = try embedder()
    let name = KnowledgeIndexName(
      packDigest: source.packDigest, chunkTokens: source.chunkTokens, embedder: embedder)
    var origin = KnowledgeIndex.Origin.built
    do throws(MemoryError) {
      if let content = try store.load(name) {
        return KnowledgeIndex(
          name: name, origin: .loaded, content: content, embedder: embedder)
      }
    } catch { origin = .rebuilt(reason: error.description) }
    let content = try build(source, name, embedder)
    do throws(MemoryError) { try store.save(content, name) } catch {
      origin = .unsaved(reason: error.description)
    }
    return KnowledgeIndex(name: name, origin: origin, content: content, embedder: embedder)
  }

  /// Removes the indexes of packs that are no longer served, and what a crash left half-written.
  /// Returns the number of directories removed.
  @discardableResult
  package func prune(keeping packDigests: Set<String>) -> Int {
    store.prune(keeping: packDigests)
  }

  private func build(
    _ source: KnowledgeSource, _ name: KnowledgeIndexName, _ embedder: any Embedder
  ) throws(MemoryError) -> KnowledgeIndexStore.Content {
    let documents = source.documents().sorted { $0.path < $1.path }
    let bytes = documents.reduce(0) { $0 + $1.text.utf8.count }
    guard bytes <= KnowledgeLimits.bytesMax else {
      throw .knowledgeTooLarge(what: "bytes", actual: bytes, limit: KnowledgeLimits.bytesMax)
    }
    let chunker = Chunker(tokensMax: source.chunkTokens)
    let chunks = documents.flatMap { chunker.chunks(of: $0.text, document: $0.path) }
    guard chunks.count <= KnowledgeLimits.chunksMax else {
      throw .knowledgeTooLarge(
        what: "chunks", actual: chunks.count, limit: KnowledgeLimits.chunksMax)
    }
    let vectors = try VectorStoreAdapter(dimension: name.dimension, attributes: name.attributes)
    for (number, chunk) in chunks.enumerated() {
      try vectors.add(embedder.embed(chunk.embeddedText), chunk: number)
    }
    embedder.releaseMemory()
    let lexical = LexicalScorer(texts: chunks.map(\.lexicalText))
    return KnowledgeIndexStore.Content(chunks: chunks, vectors: vectors, lexical: lexical)
  }
}
