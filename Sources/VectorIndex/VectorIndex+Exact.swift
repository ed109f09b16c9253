extension VectorIndex {
  /// The k nearest rows by looking at every one, up to 1,048,576 rows: what the recall of `search`
  /// is counted by.
  public func exactSearch(_ query: [Float], k: Int) throws(VectorIndexError) -> [Neighbour] {
    try search(query, k: k, ef: Self.efRange.upperBound)
  }

  /// The ids of all rows that a search can return, in the order of their slots.
  public var ids: [UInt64] {
    change { store, _ in
      (0..<UInt32(store.count)).filter { store.isLive($0) }.map { store.id($0) }
    }
  }
}
