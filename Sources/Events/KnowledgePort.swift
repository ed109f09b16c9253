package import Base

/// A piece of a document that answers a question.
package struct Passage: Sendable, Hashable {
  /// Path inside the pack's `knowledge/`.
  package var document: String
  package var heading: String?
  package var text: String
  /// Cosine similarity with the question.
  package var score: Double
  /// SHA-256 of the chunk, hexadecimal (SEMANTICS D31).
  package var chunkID: String

  package init(
    document: String, heading: String?, text: String, score: Double, chunkID: String
  ) {
    self.document = document
    self.heading = heading
    self.text = text
    self.score = score
    self.chunkID = chunkID
  }
}

package struct KnowledgeQuery: Sendable {
  package var tenantID: String
  package var packDigest: String
  package var settings: Personality.KnowledgeSettings
  package var text: String

  package init(
    tenantID: String, packDigest: String, settings: Personality.KnowledgeSettings, text: String
  ) {
    self.tenantID = tenantID
    self.packDigest = packDigest
    self.settings = settings
    self.text = text
  }
}

package protocol KnowledgeRetriever: AnyObject {
  /// The best passages, best first. `completion` is called once on the loop, never before this
  /// returns, and not after `cancel`. A pack whose index is still being built waits for it.
  func retrieve(
    _ query: KnowledgeQuery, completion: @escaping (Result<[Passage], TurnFailure>) -> Void
  ) -> any Cancellable
}
