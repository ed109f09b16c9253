extension VectorIndex {
  /// `add` of components in borrowed memory, of any kind of scalar.
  public func add<Scalar: VectorScalar>(_ vector: Span<Scalar>, id: UInt64)
    throws(VectorIndexError)
  {
    try add(Self.floats(vector), id: id)
  }

  /// `upsert` of components in borrowed memory, of any kind of scalar.
  public func upsert<Scalar: VectorScalar>(_ vector: Span<Scalar>, id: UInt64)
    throws(VectorIndexError)
  {
    try upsert(Self.floats(vector), id: id)
  }

  /// Adds many rows, `dimension` components each one after the other, row i under `ids[i]`, on
  /// `threads` threads. The same rows give the same graph whatever the number of threads.
  /// - Throws: what is wrong with the first bad row, `.duplicateID`, `.countMismatch`; nothing has
  ///   changed then.
  public func add<Scalar: VectorScalar>(
    rows: Span<Scalar>, ids: Span<UInt64>, threads: Int = 1
  ) throws(VectorIndexError) {
    try add(rows: rows, ids: ids, threads: threads, control: .none)
  }

  func add<Scalar: VectorScalar>(
    rows: Span<Scalar>, ids: Span<UInt64>, threads: Int, control: WorkControl
  ) throws(VectorIndexError) {
    let dimension = options.dimension
    guard rows.count == ids.count * dimension else {
      throw .countMismatch(
        name: "components of \(ids.count) rows", expected: ids.count * dimension,
        actual: rows.count)
    }
    for row in ids.indices {
      try control.step(row, of: ids.count)
      let start = row * dimension
      try add(rows.extracting(start..<start + dimension), id: ids[row])
    }
  }

  /// `search` of a query in borrowed memory, of any kind of scalar.
  public func search<Scalar: VectorScalar>(
    _ query: Span<Scalar>, k: Int, ef: Int = 64, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    try search(Self.floats(query), k: k, ef: ef, filter: filter)
  }

  /// `search` for as many rows as `results` has room for, at least one, without allocating.
  /// - Returns: how many were found, nearest first from the beginning of `results`.
  public func search(
    _ query: Span<Float>, ef: Int = 64, filter: SearchFilter? = nil,
    into results: inout MutableSpan<Neighbour>
  ) throws(VectorIndexError) -> Int {
    let found = try search(query, k: results.count, ef: ef, filter: filter)
    for (index, neighbour) in found.enumerated() { results[index] = neighbour }
    return found.count
  }

  /// Many searches in one call: `queries` one after the other, `k` answers each in `results`, on
  /// `threads` threads. `counts[i]` of query i's answers are there.
  /// - Throws: `.countMismatch` when the rooms do not fit, or what is wrong with a query.
  public func search(
    batch queries: Span<Float>, k: Int, ef: Int = 64, threads: Int = 1,
    into results: inout MutableSpan<Neighbour>, counts: inout MutableSpan<Int>
  ) throws(VectorIndexError) {
    let dimension = options.dimension
    let wanted = counts.count
    guard queries.count == wanted * dimension else {
      throw .countMismatch(
        name: "components of \(wanted) queries", expected: wanted * dimension,
        actual: queries.count)
    }
    guard results.count == wanted * k else {
      throw .countMismatch(name: "results", expected: wanted * k, actual: results.count)
    }
    for query in 0..<wanted {
      let start = query * dimension
      let found = try search(
        queries.extracting(start..<start + dimension), k: k, ef: ef, filter: nil)
      for (index, neighbour) in found.enumerated() { results[query * k + index] = neighbour }
      counts[query] = found.count
    }
  }

  private static func floats<Scalar: VectorScalar>(_ vector: Span<Scalar>) -> [Float] {
    var floats: [Float] = []
    floats.reserveCapacity(vector.count)
    for index in vector.indices { floats.append(vector[index].floatValue) }
    return floats
  }
}
