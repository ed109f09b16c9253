/// Search by comparing with every row: no graph, perfect recall. Right for a few thousand rows,
/// and the oracle by which the recall of `VectorIndex` is counted.
///
/// Any number of threads may search at once; `add`, `upsert` and `remove` wait for them.
public final class ExactIndex: @unchecked Sendable {
  public let dimension: Int
  public let metric: Metric

  // Sendable because every access to `rows` is inside `lock`.
  private let lock = ReadersWriterLock()
  private let rows: RowStore

  /// - Parameter dimension: 1…4,096.
  public init(dimension: Int, metric: Metric) throws(VectorIndexError) {
    try VectorIndex.check("dimension", dimension, in: VectorIndex.dimensionRange)
    self.dimension = dimension
    self.metric = metric
    rows = RowStore(dimension: dimension, metric: metric)
  }

  /// Calls `body` with the rows, which nobody changes meanwhile.
  func withRows<Value>(_ body: (RowStore) -> Value) -> Value { lock.read { body(rows) } }

  public var count: Int { lock.read { rows.count } }

  /// The vector as it is compared (of length 1 under cosine), or nil.
  public func vector(for id: UInt64) -> [Float]? {
    lock.read { rows.slots[id].map(rows.components) }
  }

  public func add(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    let prepared = try PreparedVector(vector, dimension: dimension, metric: metric)
    try lock.write { () throws(VectorIndexError) in
      guard rows.slots[id] == nil else { throw .duplicateID(id) }
      guard rows.count < VectorIndex.rowsMax else { throw .full }
      _ = rows.append(prepared, id: id)
    }
  }

  /// Adds, or replaces the vector of `id`.
  public func upsert(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    let prepared = try PreparedVector(vector, dimension: dimension, metric: metric)
    try lock.write { () throws(VectorIndexError) in
      guard rows.slots[id] != nil || rows.count < VectorIndex.rowsMax else { throw .full }
      _ = rows.removeMovingLast(id: id)
      _ = rows.append(prepared, id: id)
    }
  }

  /// Whether the id was there.
  @discardableResult
  public func remove(id: UInt64) -> Bool { lock.write { rows.removeMovingLast(id: id) } }

  /// The k nearest rows, nearest first; fewer when fewer are there or pass `filter`, which is
  /// called under the index's lock and must not change the index.
  public func search(
    _ query: [Float], k: Int, filter: ((UInt64) -> Bool)? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    try VectorIndex.check("k", k, in: VectorIndex.kRange)
    let prepared = try PreparedVector(query, dimension: dimension, metric: metric)
    return lock.read {
      let found = exactScan(rows, query: prepared.components, metric: metric, k: k) { slot in
        filter?(rows.ids[Int(slot)]) ?? true
      }
      return found.map { Neighbour(id: rows.ids[Int($0.slot)], distance: $0.distance) }
    }
  }
}
