import CVector

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
    let known = IndexSection.tombstoneBit | IndexSection.freeBit | IndexSection.levelBits
    guard shape.allSatisfy({ $0 & ~known == 0 && $0 & 0xC0 != IndexSection.freeBit }) else {
      throw .inconsistent("a node of an unknown shape")
    }
    // The lengths are held against the file before memory is taken for them.
    try checkLengths(upperLists: shape.reduce(0) { $0 + Int($1 & IndexSection.levelBits) })
    let store = GraphStore(options: header.options, rows: nodes)
    store.restoreShape(shape, entry: header.entry ?? 0, isCentred: header.isCentred)
    for (kind, array) in IndexSection.arrays { try fill(store.bytes(of: array), kind) }
    if let broken = store.restoreRows(shape) { throw .inconsistent(broken) }
    return VectorIndex(options: header.options, attributes: try attributes(), store: store)
  }

  private func checkLengths(upperLists: Int) throws(IndexFileError) {
    let (options, nodes) = (header.options, header.nodes)
    let rowBytes = nodes * cvx_stride(options.dimension)
    _ = try section(.ids, bytes: nodes * 8)
    _ = try section(.edges, bytes: nodes * 2 * options.m * 4)
    _ = try section(.upperEdges, bytes: upperLists * options.m * 4)
    _ = try section(.codes, bytes: rowBytes)
    _ = try section(.residuals, bytes: options.storage == .compact ? 0 : rowBytes)
    _ = try section(.factors, bytes: nodes * 8)
    _ = try section(.mean, bytes: options.dimension * 4)
  }

  private func attributes() throws(IndexFileError) -> IndexAttributes {
    let name = IndexSection.attributes.name
    let section = try source.section(IndexSection.attributes.rawValue, name)
    guard let attributes = IndexAttributes(decoding: try source.read(section, name)) else {
      throw .inconsistent(name)
    }
    return attributes
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
