import CVector

/// The file of an index, little-endian, version 1:
///
/// | at | bytes | content |
/// |---|---|---|
/// | 0 | 8 | `VIDXHNSW` |
/// | 8 | 4 × 6 | version, dimension, metric, m, efConstruction, entry point |
/// | 32 | 8 × 3 | seed, nodes, length of the file |
/// | 64 | 5 × 24 | for each section: offset, length with padding (u64), CRC-32C, 0 (u32) |
/// | 252 | 4 | CRC-32C of the 252 bytes before |
///
/// Then the sections in `Section`'s order, each padded with zeros to 64 bytes; the checksum
/// covers the padding too. Nothing follows the last.
struct IndexFileLayout: Equatable {
  static let magic: UInt64 = 0x5753_4E48_5844_4956  // "VIDXHNSW" as a little-endian word
  static let version: UInt32 = 1
  static let headerBytes = 256
  static let padding = 64

  enum Section: Int, CaseIterable {
    /// u64 a node.
    case ids
    /// One byte a node: its layer, and `tombstoneBit`.
    case shape
    /// 2·m words a node.
    case edges
    /// m words a node and layer above 0, in the order of the nodes.
    case upperEdges
    /// Float32, each row padded with zeros to 64 bytes.
    case rows
  }

  struct Extent: Equatable {
    var offset = 0
    /// Without and with padding.
    var bytes = 0
    var paddedBytes: Int { (bytes + padding - 1) / padding * padding }
    var checksum: UInt32 = 0
  }

  static let tombstoneBit: UInt8 = 0x80

  var options: VectorIndex.Options
  var nodes: Int
  var entry: UInt32?
  var extents: [Extent]

  var fileBytes: Int { extents.last.map { $0.offset + $0.paddedBytes } ?? Self.headerBytes }

  /// Where each section lies; `upperWords` is the length of the layers above 0.
  init(options: VectorIndex.Options, nodes: Int, entry: UInt32?, upperWords: Int) {
    self.options = options
    self.nodes = nodes
    self.entry = entry
    let lengths = [
      nodes * 8, nodes, nodes * 2 * options.m * 4, upperWords * 4,
      nodes * RowStore.stride(options.dimension) * 4,
    ]
    var offset = Self.headerBytes
    extents = []
    for length in lengths {
      let extent = Extent(offset: offset, bytes: length)
      extents.append(extent)
      offset += extent.paddedBytes
    }
  }

  subscript(section: Section) -> Extent {
    get { extents[section.rawValue] }
    set { extents[section.rawValue] = newValue }
  }

  func encodeHeader() -> [UInt8] {
    var header = [UInt8](repeating: 0, count: Self.headerBytes)
    header.withUnsafeMutableBytes { out in
      out.storeBytes(of: Self.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
      let words: [UInt32] = [
        Self.version, UInt32(options.dimension), options.metric.rawValue, UInt32(options.m),
        UInt32(options.efConstruction), entry ?? HNSWGraph.noEdge,
      ]
      for (index, word) in words.enumerated() {
        out.storeBytes(of: word.littleEndian, toByteOffset: 8 + index * 4, as: UInt32.self)
      }
      let wide = [options.seed, UInt64(nodes), UInt64(fileBytes)]
      for (index, word) in wide.enumerated() {
        out.storeBytes(of: word.littleEndian, toByteOffset: 32 + index * 8, as: UInt64.self)
      }
      for (index, extent) in extents.enumerated() {
        let at = Self.tableOffset(index)
        out.storeBytes(
          of: UInt64(extent.offset).littleEndian, toByteOffset: at, as: UInt64.self)
        out.storeBytes(
          of: UInt64(extent.paddedBytes).littleEndian, toByteOffset: at + 8, as: UInt64.self)
        out.storeBytes(of: extent.checksum.littleEndian, toByteOffset: at + 16, as: UInt32.self)
      }
      let checksum = cvector_crc32c(0, out.baseAddress, Self.headerBytes - 4)
      out.storeBytes(
        of: checksum.littleEndian, toByteOffset: Self.headerBytes - 4, as: UInt32.self)
    }
    return header
  }

  /// Reads a header and holds it against the file's length. Every length is bounded here, before
  /// anything is allocated for it.
  init(decoding header: [UInt8], fileBytes: Int) throws(IndexFileError) {
    let reader = HeaderReader(header)
    try reader.check(fileBytes: fileBytes)
    let options = try reader.options()
    guard reader.wide(40) <= UInt64(VectorIndex.rowsMax) else {
      throw .inconsistent("\(reader.wide(40)) nodes")
    }
    // The layers above 0 are as long as the file leaves room for; the shape section decides later.
    let upperBytes = reader.wide(Self.tableOffset(Section.upperEdges.rawValue) + 8)
    guard upperBytes <= UInt64(fileBytes) else { throw .inconsistent("upper edges beyond the end") }
    let entry = reader.word(28)
    self.init(
      options: options, nodes: Int(reader.wide(40)),
      entry: entry == HNSWGraph.noEdge ? nil : entry, upperWords: Int(upperBytes / 4))
    for index in extents.indices {
      let at = Self.tableOffset(index)
      guard reader.wide(at) == UInt64(extents[index].offset),
        reader.wide(at + 8) == UInt64(extents[index].paddedBytes)
      else { throw .inconsistent("section \(index) is not where it must be") }
      extents[index].checksum = reader.word(at + 16)
    }
    guard self.fileBytes == fileBytes else {
      throw .sizeMismatch(expected: self.fileBytes, actual: fileBytes)
    }
  }

  /// Where the section table holds the entry of a section.
  private static func tableOffset(_ section: Int) -> Int { 64 + section * 24 }
}

/// The fields of a header, as they stand.
private struct HeaderReader {
  private let header: [UInt8]

  init(_ header: [UInt8]) { self.header = header }

  func word(_ at: Int) -> UInt32 {
    header.withUnsafeBytes {
      UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
  }

  func wide(_ at: Int) -> UInt64 {
    header.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
  }

  /// Kind and version first: they say how to read the rest.
  func check(fileBytes: Int) throws(IndexFileError) {
    guard header.count >= 12, wide(0) == IndexFileLayout.magic else { throw .notAnIndex }
    guard word(8) == IndexFileLayout.version else { throw .versionUnsupported(word(8)) }
    guard header.count == IndexFileLayout.headerBytes else {
      throw .sizeMismatch(expected: IndexFileLayout.headerBytes, actual: fileBytes)
    }
    let checksum = header.withUnsafeBytes { cvector_crc32c(0, $0.baseAddress, $0.count - 4) }
    guard word(IndexFileLayout.headerBytes - 4) == checksum else {
      throw .checksumMismatch(section: "header")
    }
    guard wide(48) == UInt64(fileBytes) else {
      throw .sizeMismatch(expected: Int(clamping: wide(48)), actual: fileBytes)
    }
  }

  func options() throws(IndexFileError) -> VectorIndex.Options {
    guard let metric = Metric(rawValue: word(16)) else {
      throw .inconsistent("metric \(word(16)) is unknown")
    }
    let options = VectorIndex.Options(
      dimension: Int(word(12)), metric: metric, m: Int(word(20)),
      efConstruction: Int(word(24)), seed: wide(32))
    do throws(VectorIndexError) { try VectorIndex.check(options) } catch {
      throw .inconsistent("\(error)")
    }
    return options
  }
}
