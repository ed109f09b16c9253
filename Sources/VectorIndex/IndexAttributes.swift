/// Where the vectors of an index come from; kept in its file, so that vectors of two embedders or
/// of two ways to cut texts are never mixed.
public struct IndexAttributes: Sendable, Hashable {
  /// The embedder's name and version.
  public var embedder: String
  /// Digest of its weights.
  public var weightsDigest: String
  /// How texts were cut, and its version.
  public var chunker: String
  /// Anything else, by name.
  public var extra: [String: String]

  /// Bytes of all names and values together, at most.
  public static let bytesMax = 60_000

  public init(
    embedder: String = "", weightsDigest: String = "", chunker: String = "",
    extra: [String: String] = [:]
  ) {
    self.embedder = embedder
    self.weightsDigest = weightsDigest
    self.chunker = chunker
    self.extra = extra
  }

  /// Pairs of name and value, sorted, each as its length (u32, little-endian) and UTF-8. The names
  /// of `extra`'s have a `+` before them. `sequence` is the last change of a journal that the file
  /// holds.
  func encode(sequence: UInt64 = 0) -> [UInt8] {
    var pairs = ["embedder": embedder, "weights": weightsDigest, "chunker": chunker]
    if sequence > 0 { pairs["sequence"] = String(sequence) }
    for (name, value) in extra { pairs["+" + name] = value }
    var bytes: [UInt8] = []
    for (name, value) in pairs.sorted(by: { $0.key < $1.key }) {
      for text in [name, value] {
        withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes += $0 }
        bytes += text.utf8
      }
    }
    return bytes
  }

  /// Nil for bytes that `encode` did not write.
  init?(decoding bytes: [UInt8], sequence: inout UInt64) {
    self.init()
    guard bytes.count <= Self.bytesMax + 4096 else { return nil }
    var texts: [String] = []
    var at = 0
    while at < bytes.count {
      guard bytes.count - at >= 4 else { return nil }
      let length = bytes.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
      }
      at += 4
      guard length <= bytes.count - at,
        let text = String(validating: bytes[at..<at + length], as: UTF8.self)
      else { return nil }
      texts.append(text)
      at += length
    }
    guard texts.count % 2 == 0 else { return nil }
    for pair in stride(from: 0, to: texts.count, by: 2) {
      switch texts[pair] {
      case "embedder": embedder = texts[pair + 1]
      case "weights": weightsDigest = texts[pair + 1]
      case "chunker": chunker = texts[pair + 1]
      case "sequence":
        guard let number = UInt64(texts[pair + 1]) else { return nil }
        sequence = number
      case let name where name.hasPrefix("+"): extra[String(name.dropFirst())] = texts[pair + 1]
      default: return nil
      }
    }
  }
}
