extension VectorIndex {
  /// The k nearest rows by looking at every one: what the recall of `search` is counted by.
  public func exactSearch(_ query: [Float], k: Int) throws(VectorIndexError) -> [Neighbour] {
    try Self.check("k", k, in: Self.kRange)
    let prepared = try PreparedVector(
      query, dimension: options.dimension, metric: options.metric)
    var found: [Neighbour] = []
    withGraph { graph in
      let nearest = exactScan(
        graph.rows, query: prepared.components, metric: options.metric, k: k,
        admits: { !graph.isTombstone[Int($0)] })
      found = nearest.map { Neighbour(id: graph.rows.ids[Int($0.slot)], distance: $0.distance) }
    }
    return found
  }

  /// The ids of all rows that a search can return, in no order.
  public var ids: [UInt64] {
    var ids: [UInt64] = []
    withGraph { graph in ids = Array(graph.rows.slots.keys) }
    return ids
  }
}
