import CVector
import Glibc

extension VectorIndex {
  /// Reads an index that `save` wrote. Every byte is verified, and every rule that the search
  /// relies on, before the index exists: no content of a file can make a later call fail.
  /// - Throws: `.file`, with what is wrong.
  public static func load(from path: String) throws(VectorIndexError) -> VectorIndex {
    do throws(IndexFileError) {
      let file = try IndexFileAccess(opening: path, flags: O_RDONLY)
      let layout = try IndexFileReader.layout(of: file)
      return try IndexFileReader(file: file, layout: layout).load()
    } catch { throw .file(error) }
  }
}

private struct IndexFileReader: ~Copyable {
  let file: IndexFileAccess
  let layout: IndexFileLayout

  static func layout(of file: borrowing IndexFileAccess) throws(IndexFileError) -> IndexFileLayout {
    let size = try file.size()
    var header = [UInt8](repeating: 0, count: min(size, IndexFileLayout.headerBytes))
    guard try read(&header, from: file, at: 0) else {
      throw .sizeMismatch(expected: size, actual: try file.size())
    }
    return try IndexFileLayout(decoding: header, fileBytes: size)
  }

  func load() throws(IndexFileError) -> VectorIndex {
    var shape = [UInt8](repeating: 0, count: layout.nodes)
    try fill(&shape, .shape)
    var ids = [UInt64](repeating: 0, count: layout.nodes)
    try fill(&ids, .ids)
    let levels = shape.map { $0 & ~IndexFileLayout.tombstoneBit }
    let isTombstone = shape.map { $0 & IndexFileLayout.tombstoneBit != 0 }
    try checkLevels(levels)
    let rows = try loadRows(ids: ids, isTombstone: isTombstone)
    let graph = HNSWGraph(
      rows: rows, metric: layout.options.metric, options: layout.options,
      rowsExpected: layout.nodes)
    graph.restore(levels: levels, isTombstone: isTombstone, entry: layout.entry)
    try fill(graph.edges0.mutableBytes, .edges)
    try fill(graph.upperEdges.mutableBytes, .upperEdges)
    if let broken = graph.brokenInvariant() { throw .inconsistent(broken) }
    return VectorIndex(options: layout.options, graph: graph)
  }

  /// The layers announced must be those that the upper edges have room for.
  private func checkLevels(_ levels: [UInt8]) throws(IndexFileError) {
    var words = 0
    for level in levels {
      guard level <= HNSWGraph.levelMax else { throw .inconsistent("a node of layer \(level)") }
      words += Int(level) * layout.options.m
    }
    let padded = IndexFileLayout.Extent(bytes: words * 4).paddedBytes
    guard padded == layout[.upperEdges].paddedBytes else {
      throw .inconsistent("upper edges of \(layout[.upperEdges].bytes) bytes, \(words * 4) wanted")
    }
  }

  private func loadRows(ids: [UInt64], isTombstone: [Bool]) throws(IndexFileError) -> RowStore {
    let rows = RowStore(dimension: layout.options.dimension, rows: layout.nodes)
    let isUnique = try rows.restore(ids: ids, isBound: { !isTombstone[$0] }) {
      (memory) throws(IndexFileError) in try fill(memory, .rows)
    }
    guard isUnique else { throw .inconsistent("one id for two rows") }
    let floats = rows.bytes.bindMemory(to: Float.self)
    guard floats.allSatisfy(\.isFinite) else { throw .inconsistent("a component is not finite") }
    return rows
  }

  private func fill<Element: BitwiseCopyable>(
    _ array: inout [Element], _ section: IndexFileLayout.Section
  ) throws(IndexFileError) {
    try array.withUnsafeMutableBufferPointer { (elements) throws(IndexFileError) in
      try fill(UnsafeMutableRawBufferPointer(elements), section)
    }
  }

  /// Reads a section into memory of its size without padding, and verifies both.
  private func fill(_ memory: UnsafeMutableRawBufferPointer, _ section: IndexFileLayout.Section)
    throws(IndexFileError)
  {
    let extent = layout[section]
    var padding = [UInt8](repeating: 0, count: extent.paddedBytes - memory.count)
    guard try file.read(into: memory, at: extent.offset),
      try Self.read(&padding, from: file, at: extent.offset + memory.count)
    else { throw .sizeMismatch(expected: layout.fileBytes, actual: try file.size()) }
    let crc = cvector_crc32c(0, memory.baseAddress, memory.count)
    guard cvector_crc32c(crc, padding, padding.count) == extent.checksum else {
      throw .checksumMismatch(section: "\(section)")
    }
  }

  private static func read(
    _ bytes: inout [UInt8], from file: borrowing IndexFileAccess, at offset: Int
  ) throws(IndexFileError) -> Bool {
    try bytes.withUnsafeMutableBufferPointer { (elements) throws(IndexFileError) in
      try file.read(into: UnsafeMutableRawBufferPointer(elements), at: offset)
    }
  }
}
