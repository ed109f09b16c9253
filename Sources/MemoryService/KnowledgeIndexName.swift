import Base
import VectorIndex

/// What makes one index another than the next (SEMANTICS D31): vectors of two embedders, or chunks
/// of two cuts, are never mixed.
package struct KnowledgeIndexName: Sendable, Hashable {
  package var packDigest: String
  package var embedderID: String
  package var weightsDigest: String
  package var dimension: Int
  package var chunkerVersion: String
  package var chunkTokens: Int

  package init(packDigest: String, chunkTokens: Int, embedder: any Embedder) {
    self.packDigest = packDigest
    embedderID = embedder.id
    weightsDigest = embedder.weightsDigest
    dimension = embedder.dimension
    chunkerVersion = Chunker.version
    self.chunkTokens = chunkTokens
  }

  /// The members of the index's `manifest.json`.
  var json: JSON {
    [
      "format": .int(Int64(Self.format)), "pack_digest": .string(packDigest),
      "embedder": .string(embedderID), "weights_digest": .string(weightsDigest),
      "dimension": .int(Int64(dimension)), "chunker": .string(chunkerVersion),
      "chunk_tokens": .int(Int64(chunkTokens)),
    ]
  }

  /// What the file of the vectors says about itself.
  var attributes: IndexAttributes {
    IndexAttributes(
      embedder: embedderID, weightsDigest: weightsDigest, chunker: chunkerVersion,
      extra: ["pack_digest": packDigest, "chunk_tokens": String(chunkTokens)])
  }

  /// Of the directory's files: raised when their layout changes.
  static let format = 2

  /// The directory's name: 16 digits of the pack's digest, so that people find it, and 32 of all
  /// that the index depends on.
  package var directoryName: String {
    var text: [UInt8] = []
    json.append(to: &text, sorted: true)
    let prefix = packDigest.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }.prefix(16)
    return "\(prefix)-\(SHA256Digest(of: text).description.prefix(32))"
  }
}
