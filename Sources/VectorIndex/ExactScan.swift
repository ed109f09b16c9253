/// The nearest rows by looking at each. `admits` says which slots count.
func exactScan(
  _ rows: RowStore, query: [Float], metric: Metric, k: Int, admits: (UInt32) -> Bool
) -> [Candidate] {
  var nearest = NearestSet(limit: k)
  query.withUnsafeBufferPointer { query in
    for slot in 0..<UInt32(rows.count) where admits(slot) {
      let distance = metric.distance(query.baseAddress!, rows.row(slot), rows.dimension)
      nearest.offer(Candidate(distance: distance, slot: slot))
    }
  }
  return nearest.sorted
}
