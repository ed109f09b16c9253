import CVector

extension ExactIndex {
  /// Many searches in one call: `queries` one after the other, `k` answers each in `results`, the
  /// same that a search of its own gives each; `counts[i]` of query i's are there.
  ///
  /// Rows are taken a few at a time, by codes of one byte a component, and compared with many
  /// queries while they are in the cache; the nearest are compared in Float32, and what the codes
  /// may be off by proves that no other row is nearer. Where it does not, every row is compared.
  /// - Parameter k: 1…1,048,576.
  /// - Throws: `.countMismatch` when the rooms do not fit, or what is wrong with a query.
  public func search(
    batch queries: Span<Float>, k: Int, into results: inout MutableSpan<Neighbour>,
    counts: inout MutableSpan<Int>
  ) throws(VectorIndexError) {
    try VectorIndex.check("k", k, in: VectorIndex.kRange)
    let wanted = counts.count
    guard queries.count == wanted * dimension else {
      throw .countMismatch(
        name: "components of \(wanted) queries", expected: wanted * dimension,
        actual: queries.count)
    }
    guard results.count == wanted * k else {
      throw .countMismatch(name: "results", expected: wanted * k, actual: results.count)
    }
    let room = ExactTile(dimension: dimension, k: k)
    for first in stride(from: 0, to: wanted, by: Int(CVX_TILE)) {
      let tile = first..<min(first + Int(CVX_TILE), wanted)
      var prepared: [PreparedVector] = []
      for query in tile {
        let vector = queries.extracting(query * dimension..<(query + 1) * dimension)
        prepared.append(try PreparedVector(vector, dimension: dimension, metric: metric))
      }
      let answers = answers(prepared, k, room)
      for (number, query) in tile.enumerated() {
        counts[query] = answers[number].count
        for (rank, neighbour) in answers[number].enumerated() {
          results[query * k + rank] = neighbour
        }
      }
    }
  }

  private func answers(_ queries: [PreparedVector], _ k: Int, _ room: ExactTile) -> [[Neighbour]] {
    withRows { rows in
      room.compare(rows.exactRows, queries, k: min(k, rows.count))
      return queries.enumerated().map { number, query in
        guard let slots = room.answers(number, of: min(k, rows.count)) else {
          return exactScan(rows, query: query.components, metric: metric, k: k) { _ in true }
            .map { Neighbour(id: rows.ids[Int($0.slot)], distance: $0.distance) }
        }
        // Compared as a single search compares, so that both give the same distance.
        return query.components.withUnsafeBufferPointer { query in
          slots.map {
            Candidate(
              distance: metric.distance(query.baseAddress!, rows.row($0), dimension), slot: $0)
          }.sorted().map {
            Neighbour(id: rows.ids[Int($0.slot)], distance: $0.distance)
          }
        }
      }
    }
  }
}

/// The memory of a tile of queries to an exact index.
private final class ExactTile {
  private let batch: OpaquePointer
  private let scratch: UnsafeMutablePointer<cvx_scratch>
  private var found: [cvx_answer] = []
  private var counts = [UInt32](repeating: 0, count: Int(CVX_TILE))

  init(dimension: Int, k: Int) {
    batch = cvx_batch_create(UInt32(dimension))
    scratch = cvx_scratch_create(UInt32(dimension))
  }

  deinit {
    cvx_batch_destroy(batch)
    cvx_scratch_destroy(scratch)
  }

  func compare(_ rows: cvx_exact_rows, _ queries: [PreparedVector], k: Int) {
    guard k > 0 else { return }
    if found.count < Int(CVX_TILE) * k {
      found = [cvx_answer](repeating: cvx_answer(), count: Int(CVX_TILE) * k)
    }
    for (number, query) in queries.enumerated() {
      query.components.withUnsafeBufferPointer {
        cvx_batch_vector(batch, UInt32(number)).update(from: $0.baseAddress!, count: $0.count)
      }
    }
    withUnsafePointer(to: rows) {
      cvx_exact_tile($0, batch, scratch, UInt32(queries.count), UInt32(k), &found, &counts)
    }
  }

  /// The slots of a query's k nearest; nil where the codes do not prove them.
  func answers(_ number: Int, of k: Int) -> [UInt32]? {
    guard k > 0 else { return [] }
    guard counts[number] != .max else { return nil }
    return found[number * k..<number * k + Int(counts[number])].map(\.slot)
  }
}
