import CVector
import Glibc

/// An index file that was opened: its table is verified, its sections are read, mapped or verified
/// on demand. Whoever replaces such a file must rename another over it; one that is cut short while
/// it is mapped ends the process (SIGBUS), which no check here can prevent.
struct IndexFileSource: ~Copyable {
  let table: IndexFileTable
  private let file: IndexFileAccess

  /// Read and verified together, while the bytes are in the cache.
  private static let stepBytes = 256 << 10

  /// A section up to which is asked for as a whole when it is mapped.
  private static let fetchedBytesMax = 64 << 20

  /// Opens the file and verifies its header and table: milliseconds, whatever its size.
  init(opening path: String) throws(IndexFileError) {
    let opened = try IndexFileAccess(opening: path, flags: O_RDONLY)
    table = try Self.table(of: opened)
    file = opened
  }

  private static func table(of file: borrowing IndexFileAccess) throws(IndexFileError)
    -> IndexFileTable
  {
    let size = try file.size()
    var header = [UInt8](repeating: 0, count: min(size, IndexFileTable.pageBytes))
    guard try fill(&header, from: file, at: 0) else {
      throw .sizeMismatch(expected: size, actual: try file.size())
    }
    return try header.withRawBytes { (bytes) throws(IndexFileError) in
      try IndexFileTable(decoding: bytes, fileBytes: size)
    }
  }

  /// Opens the same file again, whatever has its name by then.
  var reopenPath: String { file.reopenPath }

  /// The section of that kind, which must have `bytes` bytes.
  func section(_ kind: UInt32, _ name: String, bytes: Int) throws(IndexFileError)
    -> IndexFileTable.Section
  {
    let section = try section(kind, name)
    guard section.bytes == bytes else {
      throw .inconsistent("\(name): \(section.bytes) bytes, \(bytes) wanted")
    }
    return section
  }

  func section(_ kind: UInt32, _ name: String) throws(IndexFileError) -> IndexFileTable.Section {
    guard let section = table.section(kind) else { throw .inconsistent("no section \(name)") }
    return section
  }

  /// Reads a section into `memory`, of its size, and verifies it.
  func read(
    _ section: IndexFileTable.Section, _ name: String, into memory: UnsafeMutableRawBufferPointer
  ) throws(IndexFileError) {
    precondition(memory.count == section.bytes)
    var checksum: UInt32 = 0
    for piece in Pieces(section.bytes, step: Self.stepBytes) {
      let part = UnsafeMutableRawBufferPointer(rebasing: memory[piece])
      try require(file.read(into: part, at: section.offset + piece.lowerBound))
      checksum = cvector_crc32c(checksum, part.baseAddress, part.count)
    }
    try checkPadding(section, name, checksum)
  }

  /// A small section as bytes, verified.
  func read(_ section: IndexFileTable.Section, _ name: String) throws(IndexFileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: section.bytes)
    try bytes.withMutableRawBytes { (memory) throws(IndexFileError) in
      try read(section, name, into: memory)
    }
    return bytes
  }

  /// Maps a section over the pages at `address`, which must be the start of one, unverified: its
  /// content is what the file says, and whoever uses it bounds what it reads there.
  func map(_ section: IndexFileTable.Section, over address: UnsafeMutableRawPointer)
    throws(IndexFileError)
  {
    guard section.bytes > 0 else { return }
    try file.map(bytes: section.paddedBytes, from: section.offset, over: address)
    // A search touches rows anywhere: pages read around each would push out others where memory is
    // short. What is small is asked for as a whole instead, once, without waiting for it.
    madvise(address, section.paddedBytes, MADV_RANDOM)
    if section.bytes <= Self.fetchedBytesMax {
      madvise(address, section.paddedBytes, MADV_WILLNEED)
    }
  }

  /// Reads every section and holds it against its checksum.
  func verify() throws(IndexFileError) {
    var buffer = [UInt8](repeating: 0, count: Self.stepBytes)
    for section in table.sections {
      var checksum: UInt32 = 0
      for piece in Pieces(section.bytes, step: Self.stepBytes) {
        try buffer.withMutableRawBytes { (memory) throws(IndexFileError) in
          let part = UnsafeMutableRawBufferPointer(rebasing: memory[..<piece.count])
          try require(file.read(into: part, at: section.offset + piece.lowerBound))
          checksum = cvector_crc32c(checksum, part.baseAddress, part.count)
        }
      }
      try checkPadding(section, "\(section.kind)", checksum)
    }
  }

  private func checkPadding(
    _ section: IndexFileTable.Section, _ name: String, _ checksum: UInt32
  ) throws(IndexFileError) {
    var padding = [UInt8](repeating: 0, count: section.paddedBytes - section.bytes)
    try require(Self.fill(&padding, from: file, at: section.offset + section.bytes))
    guard cvector_crc32c(checksum, padding, padding.count) == section.checksum else {
      throw .checksumMismatch(section: name)
    }
  }

  private func require(_ isWhole: Bool) throws(IndexFileError) {
    guard isWhole else {
      throw .sizeMismatch(expected: table.fileBytes, actual: try file.size())
    }
  }

  private static func fill(
    _ bytes: inout [UInt8], from file: borrowing IndexFileAccess, at offset: Int
  ) throws(IndexFileError) -> Bool {
    try bytes.withMutableRawBytes { (memory) throws(IndexFileError) in
      try file.read(into: memory, at: offset)
    }
  }
}
