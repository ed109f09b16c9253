extension VectorIndex {
  /// Writes the index to `path`: aside, synchronised, then renamed over what was there, so that a
  /// crash at any moment leaves the old file or the new one. Searches go on; changes wait.
  /// - Throws: `.file(.system)`; the old file is untouched then.
  public func save(to path: String) throws(VectorIndexError) {
    try save(to: path, sequence: 0)
  }

  /// - Parameter sequence: the last change of a journal that the file will hold.
  func save(
    to path: String, sequence: UInt64 = 0, control: WorkControl = .none
  ) throws(VectorIndexError) {
    try control.step(0, of: 1)
    try materialise()
    let attributes = attributes.encode(sequence: sequence)
    try change { (store, scratches) throws(VectorIndexError) in
      store.finishSweep(readers: readers, scratch: scratches[0])
      store.judgeNibbles(scratch: scratches[0])
      try store.save(to: path, attributes: attributes, control: control)
    }
  }
}

extension GraphStore {
  fileprivate func save(
    to path: String, attributes: [UInt8], control: WorkControl
  ) throws(VectorIndexError) {
    let header = IndexFileOptions(
      options: options, nodes: count, entry: count == 0 ? nil : entry, isCentred: isCentred)
    let shape = shape
    try header.encode().withRawBytes { (header) throws(VectorIndexError) in
      try attributes.withRawBytes { (attributes) throws(VectorIndexError) in
        try shape.withRawBytes { (shape) throws(VectorIndexError) in
          var contents: [(IndexSection, UnsafeRawBufferPointer)] = [
            (.options, header), (.attributes, attributes), (.shape, shape),
          ]
          for (kind, array) in IndexSection.arrays {
            contents.append((kind, UnsafeRawBufferPointer(bytes(of: array))))
          }
          try IndexFileWriter.replace(
            path, with: contents.map { IndexFileWriter.Content(kind: $0.0.rawValue, bytes: $0.1) },
            control: control)
        }
      }
    }
  }

  private var shape: [UInt8] {
    var shape = (0..<UInt32(count)).map { slot in
      UInt8(level(slot)) | (isLive(slot) ? 0 : IndexSection.tombstoneBit)
    }
    for slot in free { shape[Int(slot)] |= IndexSection.freeBit }
    for waiting in limbo { for slot in waiting.slots { shape[Int(slot)] |= IndexSection.freeBit } }
    return shape
  }
}

extension IndexSection {
  /// The sections that are an array of the store as it is.
  static let arrays: [(IndexSection, GraphStore.StoredArray)] = [
    (.ids, .ids), (.edges, .edges), (.upperEdges, .upperEdges), (.codes, .codes),
    (.residuals, .residuals), (.factors, .factors), (.mean, .mean),
  ]
}
