import CVector

/// Writes an index file: a table, and sections of bytes that are in memory.
struct IndexFileWriter {
  struct Content {
    var kind: UInt32
    var bytes: UnsafeRawBufferPointer
  }

  /// Bytes between two looks at whether to go on.
  private static let stepBytes = 8 << 20
  private static let zeros = [UInt8](repeating: 0, count: IndexFileTable.pageBytes)

  /// Replaces the file at `path`: a reader, and the next start after a crash at any moment, finds
  /// the old file or the new one.
  static func replace(
    _ path: String, with contents: [Content], control: WorkControl = .none
  ) throws(VectorIndexError) {
    var table = IndexFileTable(kinds: contents.map { ($0.kind, $0.bytes.count) })
    try IndexFileAccess.replace(path) { (file) throws(VectorIndexError) in
      do throws(IndexFileError) { try file.write(zeros, at: 0) } catch { throw .file(error) }
      for (index, content) in contents.enumerated() {
        let section = table.sections[index]
        table.setChecksum(try write(content, section, table.fileBytes, file, control), at: index)
      }
      // Last: only now are the checksums known.
      do throws(IndexFileError) { try file.write(table.encode(), at: 0) } catch {
        throw .file(error)
      }
    }
  }

  /// Writes a section and its padding; returns the checksum of both.
  private static func write(
    _ content: Content, _ section: IndexFileTable.Section, _ fileBytes: Int,
    _ file: borrowing IndexFileAccess, _ control: WorkControl
  ) throws(VectorIndexError) -> UInt32 {
    var checksum: UInt32 = 0
    for piece in Pieces(content.bytes.count, step: stepBytes) {
      try control.step(section.offset + piece.lowerBound, of: fileBytes)
      let bytes = UnsafeRawBufferPointer(rebasing: content.bytes[piece])
      checksum = cvector_crc32c(checksum, bytes.baseAddress, bytes.count)
      do throws(IndexFileError) {
        try file.write(bytes, at: section.offset + piece.lowerBound)
      } catch { throw .file(error) }
    }
    let padding = Array(zeros[..<(section.paddedBytes - section.bytes)])
    do throws(IndexFileError) {
      try file.write(padding, at: section.offset + section.bytes)
    } catch { throw .file(error) }
    return cvector_crc32c(checksum, padding, padding.count)
  }
}

/// `0..<count` in ranges of at most `step`.
struct Pieces: Sequence, IteratorProtocol {
  private var at = 0
  private let count: Int
  private let step: Int

  init(_ count: Int, step: Int) {
    self.count = count
    self.step = step
  }

  mutating func next() -> Range<Int>? {
    guard at < count else { return nil }
    defer { at = Swift.min(at + step, count) }
    return at..<Swift.min(at + step, count)
  }
}
