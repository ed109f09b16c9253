extension VectorIndex {
  // The same calls for other scalars than Float; those for Float are of their own, so that
  // programs that use the library get them specialised.

  /// `add` of components in borrowed memory, of any kind of scalar.
  public func add<Scalar: VectorScalar>(_ vector: Span<Scalar>, id: UInt64)
    throws(VectorIndexError)
  {
    try insert(vector, id: id, mayReplace: false)
  }

  /// `upsert` of components in borrowed memory, of any kind of scalar.
  public func upsert<Scalar: VectorScalar>(_ vector: Span<Scalar>, id: UInt64)
    throws(VectorIndexError)
  {
    try insert(vector, id: id, mayReplace: true)
  }

  /// `add(rows:ids:threads:)` of any kind of scalar.
  public func add<Scalar: VectorScalar>(
    rows: Span<Scalar>, ids: Span<UInt64>, threads: Int = 1
  ) throws(VectorIndexError) {
    try add(rows: rows, ids: ids, threads: threads, control: .none)
  }

  /// `search` of a query of any kind of scalar.
  public func search<Scalar: VectorScalar>(
    _ query: Span<Scalar>, k: Int, ef: Int = 64, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    try searchCounting(query, k: k, ef: ef, filter: filter).neighbours
  }
}
