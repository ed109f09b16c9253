extension HNSWGraph {
  /// The share of the rows (one in so many) a filtered walk may look at before a scan of all rows,
  /// which is sequential and exact, is the cheaper way to the answer.
  private static let walkShare = 2

  /// Walks the graph, and scans where the walk cannot answer: a filter so narrow that the walk
  /// wanders, or fewer answers than there are rows that may be returned.
  func nearest(to query: [Float], k: Int, ef: Int, filter: ((UInt64) -> Bool)?)
    -> (found: [Candidate], evaluations: Int)
  {
    guard let entry, liveCount > 0 else { return ([], 0) }
    let admits = admission(filter)
    let walk = query.withUnsafeBufferPointer { buffer in
      let query = buffer.baseAddress!
      let start = descend(query, from: entry, above: 0)
      let limit = filter == nil ? Int.max : max(ef * edgesMax0, count / Self.walkShare)
      var walk = searchLayer(
        query, from: start.nearest, ef: ef, layer: 0, limit: limit, admits: admits)
      walk.evaluations += start.evaluations
      return walk
    }
    if walk.isComplete, walk.nearest.count >= min(k, liveCount) {
      return (Array(walk.nearest.prefix(k)), walk.evaluations)
    }
    let found = exactScan(rows, query: query, metric: metric, k: k, admits: admits ?? { _ in true })
    return (found, walk.evaluations + count)
  }

  private func admission(_ filter: ((UInt64) -> Bool)?) -> ((UInt32) -> Bool)? {
    if let filter {
      return { [self] slot in !isTombstone[Int(slot)] && filter(rows.ids[Int(slot)]) }
    }
    return tombstones == 0 ? nil : { [self] slot in !isTombstone[Int(slot)] }
  }
}
