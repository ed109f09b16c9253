/// Approximate nearest neighbours by a navigable small-world graph (HNSW), in memory, saved to one
/// file.
///
/// ```swift
/// let index = try VectorIndex(options: .init(dimension: 256, metric: .cosine))
/// try index.add(embedding, id: 7)
/// let nearest = try index.search(query, k: 10, ef: 64)
/// ```
///
/// Any number of threads may search at once; `add`, `upsert`, `remove` and `compact` wait for
/// them, and `save` waits for those. The same rows added in the same order with the same options
/// give the same file, byte for byte, on processors with the same vector instructions.
public final class VectorIndex: @unchecked Sendable {
  /// Components of a vector.
  public static let dimensionRange = 1...4096
  /// Edges of a node (M). Below 2 a graph has no layers; above 128 lists outgrow what they help.
  public static let mRange = 2...128
  /// Candidates kept while a row is inserted.
  public static let efConstructionRange = 1...65_536
  /// Candidates kept while searching; a larger list than this is an exact scan.
  public static let efRange = 1...1_048_576
  /// Answers wanted.
  public static let kRange = 1...1_048_576
  /// Rows: slots are 32 bits, and the last value marks the end of a list of edges.
  public static let rowsMax = Int(UInt32.max) - 1

  public struct Options: Sendable, Hashable {
    /// 1…4,096.
    public var dimension: Int
    public var metric: Metric
    /// Edges a node gets, twice as many at the lowest layer.
    public var m: Int
    /// Candidates looked at for each insertion: more is slower to build and better to search.
    public var efConstruction: Int
    /// Draws the layers; the same seed gives the same graph.
    public var seed: UInt64

    public init(
      dimension: Int, metric: Metric, m: Int = 16, efConstruction: Int = 200, seed: UInt64 = 1
    ) {
      self.dimension = dimension
      self.metric = metric
      self.m = m
      self.efConstruction = efConstruction
      self.seed = seed
    }
  }

  public let options: Options
  /// Where the vectors come from; saved with them.
  public let attributes: IndexAttributes

  // Sendable because every access to `graph` and what it owns is inside `lock`.
  private let lock = ReadersWriterLock()
  private var graph: HNSWGraph

  /// - Throws: `.parameterOutOfRange` for an option outside its range.
  public init(
    options: Options, attributes: IndexAttributes = IndexAttributes()
  ) throws(VectorIndexError) {
    try Self.check(options)
    try Self.check("attributes", attributes.encode().count, in: 0...IndexAttributes.bytesMax)
    self.options = options
    self.attributes = attributes
    graph = HNSWGraph(
      rows: RowStore(dimension: options.dimension), metric: options.metric, options: options)
  }

  init(options: Options, attributes: IndexAttributes, graph: HNSWGraph) {
    self.options = options
    self.attributes = attributes
    self.graph = graph
  }

  /// Rows that a search can return.
  public var count: Int { lock.read { graph.liveCount } }

  /// Removed and replaced rows whose memory `compact` gives back.
  public var tombstoneCount: Int { lock.read { graph.tombstones } }

  /// The vector as it is compared (of length 1 under cosine), or nil.
  public func vector(for id: UInt64) -> [Float]? {
    lock.read { graph.rows.slots[id].map(graph.rows.components) }
  }

  /// - Throws: `.duplicateID`, `.full`, or what is wrong with the vector; nothing has changed then.
  public func add(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    let prepared = try PreparedVector(
      vector, dimension: options.dimension, metric: options.metric)
    try lock.write { () throws(VectorIndexError) in
      guard graph.rows.slots[id] == nil else { throw .duplicateID(id) }
      try append(prepared, id: id)
    }
  }

  /// Adds, or replaces the vector of `id`; searches see the old or the new one, never both.
  public func upsert(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    let prepared = try PreparedVector(
      vector, dimension: options.dimension, metric: options.metric)
    try lock.write { () throws(VectorIndexError) in
      guard graph.count < Self.rowsMax else { throw .full }
      if let slot = graph.rows.unbind(id: id) { graph.bury(slot) }
      try append(prepared, id: id)
    }
  }

  /// Takes a row out of every later answer. Whether the id was there.
  @discardableResult
  public func remove(id: UInt64) -> Bool {
    lock.write {
      guard let slot = graph.rows.unbind(id: id) else { return false }
      graph.bury(slot)
      return true
    }
  }

  /// Builds the graph anew from the rows that are left and gives back the memory of the others.
  /// Takes as long as adding those rows; searches wait.
  public func compact() {
    do { try compact(threads: 1, control: .none) } catch {}
  }

  func compact(threads: Int, control: WorkControl) throws(VectorIndexError) {
    try control.step(0, of: 1)
    lock.write {
      guard graph.tombstones > 0 else { return }
      let old = graph
      let rows = RowStore(dimension: options.dimension, rows: old.liveCount)
      graph = HNSWGraph(
        rows: rows, metric: options.metric, options: options, rowsExpected: old.liveCount)
      for slot in 0..<UInt32(old.count) where !old.isTombstone[Int(slot)] {
        // Rows are prepared already: a second normalisation would change their last bits.
        let vector = PreparedVector(prepared: old.rows.components(slot))
        _ = rows.append(vector, id: old.rows.ids[Int(slot)])
        graph.insertLastRow()
      }
    }
  }

  /// The k nearest rows, nearest first, equal distances in the order they were added. As many as
  /// min(k, rows that pass `filter`) come back, always: where the graph finds fewer, every row is
  /// looked at.
  /// - Parameters:
  ///   - k: 1…1,048,576.
  ///   - ef: candidates kept while walking, at least k: more is slower and finds more.
  ///   - filter: which ids may be returned.
  public func search(
    _ query: [Float], k: Int, ef: Int = 64, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    try searchCounting(query, k: k, ef: ef, filter: filter.map { filter in { filter.admits($0) } })
      .neighbours
  }

  /// `search`, with the number of distances it computed.
  package func searchCounting(
    _ query: [Float], k: Int, ef: Int, filter: ((UInt64) -> Bool)? = nil
  ) throws(VectorIndexError) -> (neighbours: [Neighbour], evaluations: Int) {
    try Self.check("k", k, in: Self.kRange)
    try Self.check("ef", ef, in: Self.efRange)
    let prepared = try PreparedVector(
      query, dimension: options.dimension, metric: options.metric)
    return lock.read {
      let (found, evaluations) = graph.nearest(
        to: prepared.components, k: k, ef: max(ef, k), filter: filter)
      let neighbours = found.map {
        Neighbour(id: graph.rows.ids[Int($0.slot)], distance: $0.distance)
      }
      return (neighbours, evaluations)
    }
  }

  /// The first broken rule of the graph's structure, or nil: for tests and for `verify` commands.
  package func brokenInvariant() -> String? { lock.read { graph.brokenInvariant() } }

  /// Calls `body` with the graph under the readers' lock.
  func withGraph<Failure: Error>(_ body: (HNSWGraph) throws(Failure) -> Void) throws(Failure) {
    try lock.read { () throws(Failure) in try body(graph) }
  }

  private func append(_ vector: PreparedVector, id: UInt64) throws(VectorIndexError) {
    guard graph.count < Self.rowsMax else { throw .full }
    _ = graph.rows.append(vector, id: id)
    graph.insertLastRow()
  }

  static func check(_ options: Options) throws(VectorIndexError) {
    try check("dimension", options.dimension, in: dimensionRange)
    try check("m", options.m, in: mRange)
    try check("efConstruction", options.efConstruction, in: efConstructionRange)
  }

  static func check(_ name: String, _ value: Int, in range: ClosedRange<Int>)
    throws(VectorIndexError)
  {
    guard range.contains(value) else {
      throw .parameterOutOfRange(name: name, value: value, range: range)
    }
  }
}
