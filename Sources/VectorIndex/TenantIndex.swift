/// One tenant's rows of an index that several share (`TenantedIndex.tenant`). Ids are the tenant's
/// own: another's row under the same id is another row, and no call here can name, change, count or
/// return one of another tenant. From any thread, as with `VectorIndex`.
public struct TenantIndex: Sendable {
  let number: TenantNumber
  private let index: VectorIndex
  private let journaled: JournaledIndex?

  init(number: TenantNumber, index: VectorIndex, journaled: JournaledIndex?) {
    self.number = number
    self.index = index
    self.journaled = journaled
  }

  // MARK: Changes

  /// - Throws: what `VectorIndex.add` throws; `.parameterOutOfRange` for an id outside
  ///   `TenantedIndex.idRange`. Nothing has changed then.
  public func add(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    let shared = try number.shared(id)
    try renaming(id) { () throws(VectorIndexError) in
      if let journaled {
        try journaled.add(vector, id: shared)
      } else {
        try index.add(vector, id: shared)
      }
    }
  }

  /// Adds, or replaces the tenant's row of that id.
  public func upsert(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    let shared = try number.shared(id)
    if let journaled {
      try journaled.upsert(vector, id: shared)
    } else {
      try index.upsert(vector, id: shared)
    }
  }

  /// Whether the tenant had a row of that id.
  /// - Throws: `.file`, when the journal could not be written; nothing has changed then.
  @discardableResult
  public func remove(id: UInt64) throws(VectorIndexError) -> Bool {
    guard let shared = try? number.shared(id) else { return false }
    guard let journaled else { return index.remove(id: shared) }
    return try journaled.remove(id: shared)
  }

  /// Removes all rows of the tenant. Looks at every row of the index.
  /// - Returns: how many there were.
  /// - Throws: `.file`, when the journal could not be written; some of the rows are gone then.
  @discardableResult
  public func removeAll() throws(VectorIndexError) -> Int {
    var removed = 0
    for id in ids where try remove(id: id) { removed += 1 }
    return removed
  }

  // MARK: Questions

  /// The tenant's ids, in the order of their slots. Looks at every row of the index.
  public var ids: [UInt64] { index.ids.filter(number.owns).map(number.own) }

  /// The tenant's rows. Looks at every row of the index.
  public var count: Int { ids.count }

  /// `VectorIndex.vector(for:)` of a row of the tenant's.
  public func vector(for id: UInt64) -> [Float]? {
    guard let shared = try? number.shared(id) else { return nil }
    return index.vector(for: shared)
  }

  /// The k nearest of the tenant's rows; min(k, those that pass `filter`), always.
  /// - Parameter filter: sees the tenant's own ids.
  /// - Throws: what `VectorIndex.search` throws.
  public func search(
    _ query: [Float], k: Int, ef: Int = 64, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    let found = try index.search(query, k: k, ef: ef, filter: scoped(filter))
    return found.compactMap(own)
  }

  /// `search` for as many rows as `results` has room for, at least one, without an allocation
  /// for the answers.
  /// - Returns: how many were found, nearest first from the beginning of `results`.
  public func search(
    _ query: Span<Float>, ef: Int = 64, filter: SearchFilter? = nil,
    into results: inout MutableSpan<Neighbour>
  ) throws(VectorIndexError) -> Int {
    let found = try index.search(query, ef: ef, filter: scoped(filter), into: &results)
    var kept = 0
    for rank in 0..<found {
      guard let neighbour = own(results[rank]) else { continue }
      results[kept] = neighbour
      kept += 1
    }
    // What lies behind the answers must not be told either.
    for rank in kept..<found { results[rank] = Neighbour(id: 0, distance: .infinity) }
    return kept
  }

  private func scoped(_ filter: SearchFilter?) -> SearchFilter {
    SearchFilter(kind: .tenant(number, filter: filter?.kind))
  }

  /// The answer under the tenant's own id. The filter has kept out what is another's; this is the
  /// second lock on the same door.
  private func own(_ neighbour: Neighbour) -> Neighbour? {
    guard number.owns(neighbour.id) else { return nil }
    return Neighbour(id: number.own(neighbour.id), distance: neighbour.distance)
  }

  /// Errors name the tenant's own id.
  private func renaming(_ id: UInt64, _ body: () throws(VectorIndexError) -> Void)
    throws(VectorIndexError)
  {
    do throws(VectorIndexError) { try body() } catch {
      guard case .duplicateID = error else { throw error }
      throw .duplicateID(id)
    }
  }
}
