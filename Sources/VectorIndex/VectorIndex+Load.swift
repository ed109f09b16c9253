extension VectorIndex {
  /// Reads an index that `save` wrote. Every byte is verified, and every rule that the search
  /// relies on, before the index exists: no content of a file can make a later call fail.
  /// - Throws: `.file`, with what is wrong.
  public static func load(from path: String) throws(VectorIndexError) -> VectorIndex {
    do throws(IndexFileError) {
      return try IndexFileReader(source: IndexFileSource(opening: path)).load()
    } catch { throw .file(error) }
  }

  /// Reads every byte of an index's file and holds it against the checksums, without making an
  /// index of it.
  /// - Throws: `.file`, with what is wrong.
  public static func verify(file path: String) throws(VectorIndexError) {
    do throws(IndexFileError) { try IndexFileSource(opening: path).verify() } catch {
      throw .file(error)
    }
  }
}

private struct IndexFileReader: ~Copyable {
  private let source: IndexFileSource
  private let header: IndexFileOptions

  init(source: consuming IndexFileSource) throws(IndexFileError) {
    let section = try source.section(IndexSection.options.rawValue, IndexSection.options.name)
    guard section.bytes == IndexFileOptions.bytes else {
      throw .inconsistent("options of \(section.bytes) bytes")
    }
    header = try IndexFileOptions(decoding: source.read(section, IndexSection.options.name))
    self.source = source
  }

  func load() throws(IndexFileError) -> VectorIndex {
    let nodes = header.nodes
    let shape: [UInt8] = try array(.shape, count: nodes, of: 0)
    let ids: [UInt64] = try array(.ids, count: nodes, of: 0)
    let levels = shape.map { $0 & ~IndexSection.tombstoneBit }
    let isTombstone = shape.map { $0 & IndexSection.tombstoneBit != 0 }
    guard levels.allSatisfy({ $0 <= HNSWGraph.levelMax }) else {
      throw .inconsistent("a node above the top layer")
    }
    let rows = try loadRows(ids: ids, isTombstone: isTombstone)
    let graph = HNSWGraph(
      rows: rows, metric: header.options.metric, options: header.options, rowsExpected: nodes)
    // The lengths of the edges are held against the file before memory is taken for them.
    let upperWords = levels.reduce(0) { $0 + Int($1) * header.options.m }
    _ = try section(.upperEdges, bytes: upperWords * 4)
    _ = try section(.edges, bytes: nodes * 2 * header.options.m * 4)
    graph.restore(levels: levels, isTombstone: isTombstone, entry: header.entry)
    try fill(graph.edges0.mutableBytes, .edges)
    try fill(graph.upperEdges.mutableBytes, .upperEdges)
    if let broken = graph.brokenInvariant() { throw .inconsistent(broken) }
    return VectorIndex(options: header.options, attributes: try attributes(), graph: graph)
  }

  private func attributes() throws(IndexFileError) -> IndexAttributes {
    let name = IndexSection.attributes.name
    let section = try source.section(IndexSection.attributes.rawValue, name)
    guard let attributes = IndexAttributes(decoding: try source.read(section, name)) else {
      throw .inconsistent(name)
    }
    return attributes
  }

  private func loadRows(ids: [UInt64], isTombstone: [Bool]) throws(IndexFileError) -> RowStore {
    let dimension = header.options.dimension
    _ = try section(.rows, bytes: header.nodes * RowStore.stride(dimension) * 4)
    let rows = RowStore(dimension: dimension, rows: header.nodes)
    let isUnique = try rows.restore(ids: ids, isBound: { !isTombstone[$0] }) {
      (memory) throws(IndexFileError) in try fill(memory, .rows)
    }
    guard isUnique else { throw .inconsistent("one id for two rows") }
    let floats = rows.bytes.bindMemory(to: Float.self)
    guard floats.allSatisfy(\.isFinite) else { throw .inconsistent("a component is not finite") }
    return rows
  }

  private func section(_ kind: IndexSection, bytes: Int) throws(IndexFileError)
    -> IndexFileTable.Section
  {
    try source.section(kind.rawValue, kind.name, bytes: bytes)
  }

  private func array<Element: BitwiseCopyable>(
    _ kind: IndexSection, count: Int, of zero: Element
  ) throws(IndexFileError) -> [Element] {
    _ = try section(kind, bytes: count * MemoryLayout<Element>.stride)
    var array = [Element](repeating: zero, count: count)
    try array.withMutableRawBytes { (memory) throws(IndexFileError) in try fill(memory, kind) }
    return array
  }

  private func fill(_ memory: UnsafeMutableRawBufferPointer, _ kind: IndexSection)
    throws(IndexFileError)
  {
    try source.read(section(kind, bytes: memory.count), kind.name, into: memory)
  }
}
