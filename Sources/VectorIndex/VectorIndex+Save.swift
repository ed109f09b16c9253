extension VectorIndex {
  /// Writes the index to `path`: aside, synchronised, then renamed over what was there, so that a
  /// crash at any moment leaves the old file or the new one. Searches go on; changes wait.
  /// - Throws: `.file(.system)`; the old file is untouched then.
  public func save(to path: String) throws(VectorIndexError) {
    try save(to: path, control: .none)
  }

  func save(to path: String, control: WorkControl) throws(VectorIndexError) {
    try control.step(0, of: 1)
    let attributes = attributes.encode()
    try withGraph { (graph) throws(VectorIndexError) in
      try graph.save(to: path, options: options, attributes: attributes, control: control)
    }
  }
}

extension HNSWGraph {
  fileprivate func save(
    to path: String, options: VectorIndex.Options, attributes: [UInt8], control: WorkControl
  ) throws(VectorIndexError) {
    let header = IndexFileOptions(options: options, nodes: count, entry: entry).encode()
    let shape = (0..<count).map { slot in
      levels[slot] | (isTombstone[slot] ? IndexSection.tombstoneBit : 0)
    }
    try header.withRawBytes { (header) throws(VectorIndexError) in
      try attributes.withRawBytes { (attributes) throws(VectorIndexError) in
        try rows.ids.withRawBytes { (ids) throws(VectorIndexError) in
          try shape.withRawBytes { (shape) throws(VectorIndexError) in
            let contents: [(IndexSection, UnsafeRawBufferPointer)] = [
              (.options, header), (.attributes, attributes), (.ids, ids), (.shape, shape),
              (.edges, edges0.bytes), (.upperEdges, upperEdges.bytes), (.rows, rows.bytes),
            ]
            try IndexFileWriter.replace(
              path,
              with: contents.map { IndexFileWriter.Content(kind: $0.0.rawValue, bytes: $0.1) },
              control: control)
          }
        }
      }
    }
  }
}
