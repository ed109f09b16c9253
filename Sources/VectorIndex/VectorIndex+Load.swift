import CVector
import Glibc

extension VectorIndex {
  /// Reads an index that `save` wrote. Every byte is verified, and every rule that the search
  /// relies on, before the index exists: no content of a file can make a later call fail.
  /// - Throws: `.file`, with what is wrong.
  public static func load(from path: String) throws(VectorIndexError) -> VectorIndex {
    try loadUnscoped(from: path).withoutTenants()
  }

  /// `load`, whether or not the rows are those of tenants: for what looks after the file.
  package static func loadUnscoped(from path: String) throws(VectorIndexError) -> VectorIndex {
    do throws(IndexFileError) {
      return try IndexFileReader(source: IndexFileSource(opening: path)).load()
    } catch { throw .file(error) }
  }

  /// What is searched without naming a tenant must have none.
  private func withoutTenants() throws(VectorIndexError) -> VectorIndex {
    guard !attributes.isTenanted else { throw .file(.tenanted) }
    return self
  }

  /// Opens an index that `save` wrote by mapping it: milliseconds, whatever the size of its rows.
  /// Verified at once are the header, the section table, all lengths and counts, and the small
  /// sections, of which the largest has one byte a row. Codes and edges are read when a search
  /// first touches them, unverified (`verify(file:)` reads them all): every slot that comes from
  /// them is held against the number of rows, so that no content of the file can lead outside or
  /// trap; wrong bytes give wrong neighbours.
  ///
  /// The rows' memory is the file's pages in the system's cache; under pressure they go and come
  /// again. The first change loads the index whole, with all checks of `load`; what it finds
  /// damaged, it throws, and the index stays as it is.
  ///
  /// A file that somebody cuts short while it is mapped ends the process (SIGBUS). Renaming another
  /// over it, as `save` does, is safe: the mapping keeps the old one.
  /// - Throws: `.file`, with what is wrong.
  public static func open(mapping path: String) throws(VectorIndexError) -> VectorIndex {
    try openUnscoped(mapping: path).withoutTenants()
  }

  static func openUnscoped(mapping path: String) throws(VectorIndexError) -> VectorIndex {
    do throws(IndexFileError) {
      return try IndexFileReader(source: IndexFileSource(opening: path)).map()
    } catch { throw .file(error) }
  }

  /// Loads a mapped index whole: before its first change.
  func materialise() throws(VectorIndexError) {
    guard let origin = change({ store, _ in store.mappedFrom }) else { return }
    let whole = try VectorIndex.loadUnscoped(from: origin.path)
    change { store, _ in
      // Of two threads that come at once the second finds it done.
      guard store.mappedFrom != nil else { return }
      whole.change { loaded, _ in replaceStore(by: loaded) }
    }
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
    let shape = try shape()
    let store = GraphStore(options: header.options, rows: header.nodes)
    store.restoreShape(shape, entry: header.entry ?? 0, isCentred: header.isCentred)
    for (kind, array) in IndexSection.arrays {
      let memory = store.bytes(of: array)
      trimLastHugePage(of: memory)
      try fill(memory, kind)
    }
    if let broken = store.restoreRows(shape) { throw .inconsistent(broken) }
    return try index(store)
  }

  /// Takes the end of an array, which fills its last huge page in part, from small pages: of two
  /// arrays of half a page in use each, a small index would hold two megabytes for nothing.
  private func trimLastHugePage(of memory: UnsafeMutableRawBufferPointer) {
    guard let start = memory.baseAddress, memory.count > HugePage.bytes,
      Int(bitPattern: start) % HugePage.bytes == 0
    else { return }
    madvise(start + memory.count / HugePage.bytes * HugePage.bytes, HugePage.bytes, MADV_NOHUGEPAGE)
  }

  /// One byte a node, and all lengths held against it before memory is taken for them.
  private func shape() throws(IndexFileError) -> [UInt8] {
    let nodes = header.nodes
    let shape: [UInt8] = try array(.shape, count: nodes, of: 0)
    let known = IndexSection.tombstoneBit | IndexSection.freeBit | IndexSection.levelBits
    guard shape.allSatisfy({ $0 & ~known == 0 && $0 & 0xC0 != IndexSection.freeBit }) else {
      throw .inconsistent("a node of an unknown shape")
    }
    // The lengths are held against the file before memory is taken for them.
    try checkLengths(upperLists: shape.reduce(0) { $0 + Int($1 & IndexSection.levelBits) })
    return shape
  }

  /// The same with the arrays mapped.
  func map() throws(IndexFileError) -> VectorIndex {
    let shape = try shape()
    let store = GraphStore(options: header.options, rows: header.nodes)
    store.restoreShape(shape, entry: header.entry ?? 0, isCentred: header.isCentred)
    for (kind, array) in IndexSection.arrays {
      let memory = store.bytes(of: array)
      guard let start = memory.baseAddress, memory.count > 0 else { continue }
      if array == .mean {
        try fill(memory, kind)
      } else {
        try source.map(section(kind, bytes: memory.count), over: start)
      }
    }
    let origin = try MappedOrigin(path: source.reopenPath)
    if let broken = store.restoreMapped(shape, from: origin) { throw .inconsistent(broken) }
    return try index(store)
  }

  private func index(_ store: GraphStore) throws(IndexFileError) -> VectorIndex {
    var sequence: UInt64 = 0
    let attributes = try attributes(&sequence)
    return VectorIndex(
      options: header.options, attributes: attributes, savedSequence: sequence, store: store)
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

  private func attributes(_ sequence: inout UInt64) throws(IndexFileError) -> IndexAttributes {
    let name = IndexSection.attributes.name
    let section = try source.section(IndexSection.attributes.rawValue, name)
    let bytes = try source.read(section, name)
    guard let attributes = IndexAttributes(decoding: bytes, sequence: &sequence) else {
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
