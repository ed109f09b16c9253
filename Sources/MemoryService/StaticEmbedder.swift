import Base

/// Embeds by looking up a row for each token and taking the mean: weights that were trained for
/// just that (WordLlama). The rows stay in the file, mapped.
package final class StaticEmbedder: Embedder {
  package let id: String
  package let weightsDigest: String
  package var dimension: Int { rows.columns }

  private let tokenizer: BPETokenizer
  private let rows: HalfFloatRows

  /// - Throws: `.system` or `.malformed` with the file's path.
  package init(weightsPath: String, tokenizerPath: String) throws(MemoryError) {
    rows = try HalfFloatRows(path: weightsPath)
    tokenizer = try BPETokenizer(path: tokenizerPath)
    let name = weightsPath.split(separator: "/").last ?? "weights"
    id = "static-1:" + name.prefix { $0 != "." }
    weightsDigest = try Self.digest(of: [weightsPath, tokenizerPath])
  }

  package func embed(_ text: String) -> [Float] {
    var vector = mean(of: tokenizer.encode(text))
    normalise(&vector)
    return vector
  }

  package func tokens(_ text: String) -> [UInt32] { tokenizer.encode(text) }

  /// The arithmetic mean of the tokens' rows; zeros without tokens.
  package func mean(of tokens: [UInt32]) -> [Float] {
    var sum = [Float](repeating: 0, count: dimension)
    for token in tokens { rows.add(row: token, to: &sum) }
    let count = Float(max(tokens.count, 1))
    for index in sum.indices { sum[index] /= count }
    return sum
  }

  package func releaseMemory() { rows.releasePages() }

  /// SHA-256 over the SHA-256 of each file. The mappings end here: pages that stay mapped and
  /// touched would count as this process's memory.
  private static func digest(of paths: [String]) throws(MemoryError) -> String {
    var digests: [UInt8] = []
    for path in paths {
      digests += try MappedFile(path: path).withBytes { SHA256Digest(of: $0) }.bytes
    }
    return SHA256Digest(of: digests).description
  }
}
