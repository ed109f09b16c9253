import CVector

/// The frame of an index file, version 2, little-endian. It knows nothing of graphs: it holds
/// sections of bytes, each under a number.
///
/// | at | bytes | content |
/// |---|---|---|
/// | 0 | 8 | `VIDXFILE` |
/// | 8 | 4 | version |
/// | 12 | 4 | sections, at most `sectionsMax` |
/// | 16 | 8 | length of the file |
/// | 24 | 24 a section | kind, CRC-32C (u32), offset, length (u64) |
/// | 4092 | 4 | CRC-32C of the 4,092 bytes before; what the table leaves of them is zero |
///
/// The sections follow in the table's order, each from a multiple of 4,096 on, so that it can be
/// mapped; the bytes up to there are zero and covered by the checksum of the section before.
/// Nothing follows the last.
struct IndexFileTable: Equatable {
  static let magic: UInt64 = 0x454C_4946_5844_4956  // "VIDXFILE" as a little-endian word
  static let version: UInt32 = 2
  /// Of the header, and what sections are aligned to: a page.
  static let pageBytes = 4096
  static let sectionsMax = 64

  struct Section: Equatable {
    var kind: UInt32
    var checksum: UInt32 = 0
    var offset = 0
    /// Without padding.
    var bytes: Int

    var paddedBytes: Int { IndexFileTable.padded(bytes) }
  }

  private(set) var sections: [Section]

  /// Lays sections out one after the other; their checksums follow (`setChecksum`).
  init(kinds: [(kind: UInt32, bytes: Int)]) {
    precondition(kinds.count <= Self.sectionsMax)
    var offset = Self.pageBytes
    sections = []
    for (kind, bytes) in kinds {
      let section = Section(kind: kind, offset: offset, bytes: bytes)
      sections.append(section)
      offset += section.paddedBytes
    }
  }

  var fileBytes: Int { sections.last.map { $0.offset + $0.paddedBytes } ?? Self.pageBytes }

  mutating func setChecksum(_ checksum: UInt32, at index: Int) {
    sections[index].checksum = checksum
  }

  /// The only section of that kind.
  func section(_ kind: UInt32) -> Section? { sections.first { $0.kind == kind } }

  static func padded(_ bytes: Int) -> Int { (bytes + pageBytes - 1) / pageBytes * pageBytes }

  // MARK: Bytes

  func encode() -> [UInt8] {
    var header = [UInt8](repeating: 0, count: Self.pageBytes)
    header.withUnsafeMutableBytes { out in
      out.storeBytes(of: Self.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
      out.storeBytes(of: Self.version.littleEndian, toByteOffset: 8, as: UInt32.self)
      out.storeBytes(of: UInt32(sections.count).littleEndian, toByteOffset: 12, as: UInt32.self)
      out.storeBytes(of: UInt64(fileBytes).littleEndian, toByteOffset: 16, as: UInt64.self)
      for (index, section) in sections.enumerated() {
        let at = Self.entryOffset(index)
        out.storeBytes(of: section.kind.littleEndian, toByteOffset: at, as: UInt32.self)
        out.storeBytes(of: section.checksum.littleEndian, toByteOffset: at + 4, as: UInt32.self)
        out.storeBytes(
          of: UInt64(section.offset).littleEndian, toByteOffset: at + 8, as: UInt64.self)
        out.storeBytes(
          of: UInt64(section.bytes).littleEndian, toByteOffset: at + 16, as: UInt64.self)
      }
      let checksum = cvector_crc32c(0, out.baseAddress, Self.pageBytes - 4)
      out.storeBytes(of: checksum.littleEndian, toByteOffset: Self.pageBytes - 4, as: UInt32.self)
    }
    return header
  }

  /// Reads the first bytes of a file of `fileBytes` and holds them against its length: every
  /// section lies inside the file afterwards.
  init(decoding header: UnsafeRawBufferPointer, fileBytes: Int) throws(IndexFileError) {
    func word(_ at: Int) -> UInt32 {
      UInt32(littleEndian: header.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
    func wide(_ at: Int) -> UInt64 {
      UInt64(littleEndian: header.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
    // Kind and version first: they say how to read the rest.
    guard header.count >= 12, Self.isMagic(wide(0)) else { throw .notAnIndex }
    guard wide(0) == Self.magic, word(8) == Self.version else {
      throw .versionUnsupported(word(8))
    }
    guard header.count == Self.pageBytes else {
      throw .sizeMismatch(expected: Self.pageBytes, actual: fileBytes)
    }
    guard cvector_crc32c(0, header.baseAddress, Self.pageBytes - 4) == word(Self.pageBytes - 4)
    else { throw .checksumMismatch(section: "header") }
    guard wide(16) == UInt64(fileBytes) else {
      throw .sizeMismatch(expected: Int(clamping: wide(16)), actual: fileBytes)
    }
    guard word(12) <= UInt32(Self.sectionsMax) else { throw .inconsistent("too many sections") }
    var kinds: [(kind: UInt32, bytes: Int)] = []
    for index in 0..<Int(word(12)) {
      let (kind, bytes) = (word(Self.entryOffset(index)), wide(Self.entryOffset(index) + 16))
      guard bytes <= UInt64(fileBytes) else { throw .inconsistent("section beyond the end") }
      guard !kinds.contains(where: { $0.kind == kind }) else {
        throw .inconsistent("section \(kind) twice")
      }
      kinds.append((kind, Int(bytes)))
    }
    self.init(kinds: kinds)
    for index in sections.indices {
      guard wide(Self.entryOffset(index) + 8) == UInt64(sections[index].offset) else {
        throw .inconsistent("section \(index) is not where it must be")
      }
      sections[index].checksum = word(Self.entryOffset(index) + 4)
    }
    guard self.fileBytes == fileBytes else {
      throw .sizeMismatch(expected: self.fileBytes, actual: fileBytes)
    }
  }

  /// Also the first version's, which this one refuses by its version.
  private static func isMagic(_ word: UInt64) -> Bool {
    word == magic || word == 0x5753_4E48_5844_4956
  }

  private static func entryOffset(_ index: Int) -> Int { 24 + index * 24 }
}
