import CVector

extension VectorIndex {
  /// Writes the index to `path`: aside, synchronised, then renamed over what was there, so that a
  /// crash at any moment leaves the old file or the new one. Searches go on; changes wait.
  /// - Throws: `.file(.system)`; the old file is untouched then.
  public func save(to path: String) throws(VectorIndexError) {
    try save(to: path, control: .none)
  }

  func save(to path: String, control: WorkControl) throws(VectorIndexError) {
    try control.step(0, of: 1)
    try withGraph { (graph) throws(VectorIndexError) in
      do throws(IndexFileError) { try graph.save(to: path) } catch { throw .file(error) }
    }
  }
}

extension HNSWGraph {
  fileprivate func save(to path: String) throws(IndexFileError) {
    let shape = (0..<count).map { slot in
      levels[slot] | (isTombstone[slot] ? IndexFileLayout.tombstoneBit : 0)
    }
    var layout = IndexFileLayout(
      options: VectorIndex.Options(
        dimension: rows.dimension, metric: metric, m: m, efConstruction: efConstruction,
        seed: seed),
      nodes: count, entry: entry, upperWords: upperEdges.count)
    for section in IndexFileLayout.Section.allCases {
      withBytes(of: section, shape: shape) { layout[section].checksum = checksum(padding: $0) }
    }
    try IndexFileAccess.replace(path) { (file) throws(IndexFileError) in
      try write(layout.encodeHeader(), to: file)
      for section in IndexFileLayout.Section.allCases {
        try withBytes(of: section, shape: shape) { (bytes) throws(IndexFileError) in
          try file.write(bytes)
          let padding = layout[section].paddedBytes - layout[section].bytes
          try write([UInt8](repeating: 0, count: padding), to: file)
        }
      }
    }
  }

  private func withBytes<Failure: Error>(
    of section: IndexFileLayout.Section, shape: [UInt8],
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    switch section {
    case .ids: try withRawBytes(rows.ids, body)
    case .shape: try withRawBytes(shape, body)
    case .edges: try body(edges0.bytes)
    case .upperEdges: try body(upperEdges.bytes)
    case .rows: try body(rows.bytes)
    }
  }

  private func withRawBytes<Element: BitwiseCopyable, Failure: Error>(
    _ array: [Element], _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try array.withUnsafeBufferPointer { (elements) throws(Failure) in
      try body(UnsafeRawBufferPointer(elements))
    }
  }

  private func checksum(padding bytes: UnsafeRawBufferPointer) -> UInt32 {
    let zeros = [UInt8](repeating: 0, count: IndexFileLayout.padding)
    let crc = cvector_crc32c(0, bytes.baseAddress, bytes.count)
    let padding = (IndexFileLayout.padding - bytes.count % IndexFileLayout.padding)
    return cvector_crc32c(crc, zeros, padding % IndexFileLayout.padding)
  }

  private func write(_ bytes: [UInt8], to file: borrowing IndexFileAccess) throws(IndexFileError) {
    try withRawBytes(bytes) { (bytes) throws(IndexFileError) in try file.write(bytes) }
  }
}
