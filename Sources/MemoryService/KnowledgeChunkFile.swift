import Base

/// The chunks of an index in one file, little-endian: `KFMCHNK1`, their number (u32), then for
/// each the length and UTF-8 bytes of document, heading and text (a heading of length 2³²−1 is
/// none), and the CRC-32C of all that (u32).
enum KnowledgeChunkFile {
  private static let magic = Array("KFMCHNK1".utf8)
  private static let none = UInt32.max

  static func encode(_ chunks: [KnowledgeChunk]) -> [UInt8] {
    var bytes = magic
    append(UInt32(chunks.count), to: &bytes)
    for chunk in chunks {
      append(chunk.document, to: &bytes)
      if let heading = chunk.heading {
        append(heading, to: &bytes)
      } else {
        append(none, to: &bytes)
      }
      append(chunk.text, to: &bytes)
    }
    append(bytes.withUnsafeBytes { crc32c($0) }, to: &bytes)
    return bytes
  }

  /// Nil for bytes that `encode` did not write.
  static func decode(_ bytes: UnsafeRawBufferPointer) -> [KnowledgeChunk]? {
    guard bytes.count >= magic.count + 8, bytes.starts(with: magic) else { return nil }
    let end = bytes.count - 4
    let checksum = crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
    var reader = Reader(bytes: bytes, at: end, end: bytes.count)
    guard reader.word() == checksum else { return nil }
    reader = Reader(bytes: bytes, at: magic.count, end: end)
    guard let count = reader.word(), Int(count) <= bytes.count / 12 else { return nil }
    var chunks: [KnowledgeChunk] = []
    chunks.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let document = reader.text(), let heading = reader.optionalText(),
        let text = reader.text()
      else { return nil }
      chunks.append(KnowledgeChunk(document: document, heading: heading, text: text))
    }
    return reader.at == end ? chunks : nil
  }

  private static func append(_ word: UInt32, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    append(UInt32(text.utf8.count), to: &bytes)
    bytes.append(contentsOf: text.utf8)
  }

  private struct Reader {
    let bytes: UnsafeRawBufferPointer
    var at: Int
    let end: Int

    mutating func word() -> UInt32? {
      guard end - at >= 4 else { return nil }
      defer { at += 4 }
      return UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    mutating func text() -> String? {
      guard let length = word() else { return nil }
      return text(length)
    }

    /// The outer optional is nil for damage, the inner one for no text.
    mutating func optionalText() -> String?? {
      guard let length = word() else { return nil }
      if length == none { return .some(nil) }
      return text(length).map { .some($0) }
    }

    private mutating func text(_ length: UInt32) -> String? {
      guard Int(length) <= end - at else { return nil }
      defer { at += Int(length) }
      return String(validating: bytes[at..<at + Int(length)], as: UTF8.self)
    }
  }
}
