extension TextIndex {
  /// The sections of a text index's file.
  private enum Section: UInt32 {
    /// k1 and b (f64).
    case options = 101
    /// A document: id (u64), length (u32), number of terms (u32); in the order of their ids.
    case documents = 102
    /// Each document's terms: hash (u64), count (u32), one after the other.
    case terms = 103
  }

  private static let documentBytes = 16
  private static let termBytes = 12

  /// Writes the index to `path` as `VectorIndex.save` does: a crash at any moment leaves the old
  /// file or the new one. The same content gives the same bytes.
  public func save(to path: String) throws(VectorIndexError) {
    var options: [UInt8] = []
    for value in [self.options.k1, self.options.b] { Self.append(value.bitPattern, to: &options) }
    var entries: [UInt8] = []
    var terms: [UInt8] = []
    let present = documents.indices.filter { documents[$0] != nil }
    for slot in present.sorted(by: { documents[$0]!.id < documents[$1]!.id }) {
      let document = documents[slot]!
      Self.append(document.id, to: &entries)
      Self.append(document.length, to: &entries)
      Self.append(UInt32(document.terms.count), to: &entries)
      for (term, count) in counts(slot) {
        Self.append(term, to: &terms)
        Self.append(count, to: &terms)
      }
    }
    try options.withRawBytes { (options) throws(VectorIndexError) in
      try entries.withRawBytes { (entries) throws(VectorIndexError) in
        try terms.withRawBytes { (terms) throws(VectorIndexError) in
          let contents = [(Section.options, options), (.documents, entries), (.terms, terms)]
          try IndexFileWriter.replace(
            path, with: contents.map { .init(kind: $0.0.rawValue, bytes: $0.1) })
        }
      }
    }
  }

  /// Reads a file that `save` wrote; every byte is verified.
  /// - Throws: `.file`, with what is wrong.
  public static func load(from path: String) throws(VectorIndexError) -> TextIndex {
    let options: [UInt8], documents: [UInt8], terms: [UInt8]
    do throws(IndexFileError) {
      let source = try IndexFileSource(opening: path)
      options = try source.read(source.section(Section.options.rawValue, "options"), "options")
      documents = try source.read(
        source.section(Section.documents.rawValue, "documents"), "documents")
      terms = try source.read(source.section(Section.terms.rawValue, "terms"), "terms")
    } catch { throw .file(error) }
    guard options.count == 16 else { throw .file(.inconsistent("options")) }
    let k1 = Double(bitPattern: word64(options, 0)), b = Double(bitPattern: word64(options, 8))
    guard k1 >= 0, k1.isFinite, (0...1).contains(b) else { throw .file(.inconsistent("options")) }
    var index = TextIndex(options: Options(k1: k1, b: b))
    try index.restore(documents, terms)
    return index
  }

  private mutating func restore(_ documents: [UInt8], _ terms: [UInt8]) throws(VectorIndexError) {
    guard documents.count % Self.documentBytes == 0, terms.count % Self.termBytes == 0 else {
      throw .file(.inconsistent("a part of a document"))
    }
    var at = 0
    for start in stride(from: 0, to: documents.count, by: Self.documentBytes) {
      let distinct = Int(Self.word32(documents, start + 12))
      guard distinct <= (terms.count - at) / Self.termBytes else {
        throw .file(.inconsistent("fewer terms than the documents have"))
      }
      let id = Self.word64(documents, start)
      guard !contains(id) else { throw .file(.inconsistent("one id for two documents")) }
      var counts: [(term: UInt64, count: UInt32)] = []
      counts.reserveCapacity(distinct)
      for _ in 0..<distinct {
        let term = (Self.word64(terms, at), Self.word32(terms, at + 8))
        // Sorted and each once, as they were written: a posting list has a document once.
        guard counts.last.map({ $0.term < term.0 }) ?? true else {
          throw .file(.inconsistent("terms out of order"))
        }
        counts.append(term)
        at += Self.termBytes
      }
      try insert(counts, length: Int(Self.word32(documents, start + 8)), id: id)
    }
    guard at == terms.count else { throw .file(.inconsistent("terms of no document")) }
  }

  private static func append(
    _ word: some FixedWidthInteger & BitwiseCopyable, to bytes: inout [UInt8]
  ) {
    withUnsafeBytes(of: word.littleEndian) { bytes += $0 }
  }

  private static func word64(_ bytes: [UInt8], _ at: Int) -> UInt64 {
    bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
  }

  private static func word32(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    bytes.withUnsafeBytes {
      UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
  }
}
