import CVector

/// Approximate nearest neighbours by a navigable small-world graph (HNSW), in memory, saved to one
/// file.
///
/// ```swift
/// let index = try VectorIndex(options: .init(dimension: 256, metric: .cosine))
/// try index.add(embedding, id: 7)
/// let nearest = try index.search(query, k: 10, ef: 64)
/// ```
///
/// Any number of threads may search at once, and wait for nobody; `add`, `upsert`, `remove`,
/// `compact` and `save` wait for each other. The same rows added in the same order with the same
/// options give the same file, byte for byte, on any processor and any number of threads.
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
    public var storage: Storage

    public init(
      dimension: Int, metric: Metric, m: Int = 16, efConstruction: Int = 200, seed: UInt64 = 1,
      storage: Storage = .standard
    ) {
      self.dimension = dimension
      self.metric = metric
      self.m = m
      self.efConstruction = efConstruction
      self.seed = seed
      self.storage = storage
    }
  }

  /// What a row takes, and how exact distances are.
  public enum Storage: UInt32, Sendable, CaseIterable {
    /// 16 bits a component, in memory 20 from some 200 components on: distances within 1e-4 of
    /// Float32's.
    case standard = 0
    /// 8 bits a component: half the memory or less; near ties may change places.
    case compact = 1
  }

  public let options: Options
  /// Where the vectors come from; saved with them.
  public let attributes: IndexAttributes
  /// The last change of a journal that the file held which this was loaded from.
  let savedSequence: UInt64

  // Sendable because readers reach the store through `current` alone, whose arrays are made to be
  // read while they change, and everything else is used inside `lock`.
  let readers: OpaquePointer
  let current: UnsafeMutablePointer<UnsafeMutablePointer<cvx_view>?>
  /// Held by whoever changes the index. Searches never wait for it.
  private let lock = ReadersWriterLock()
  private var store: GraphStore
  /// Stores that readers may still hold.
  private var retired: [(epoch: UInt64, store: GraphStore)] = []
  private var scratches: [InsertScratch] = []

  /// - Throws: `.parameterOutOfRange` for an option outside its range.
  public convenience init(
    options: Options, attributes: IndexAttributes = IndexAttributes()
  ) throws(VectorIndexError) {
    try Self.check(options)
    try Self.check("attributes", attributes.encode().count, in: 0...IndexAttributes.bytesMax)
    self.init(options: options, attributes: attributes, store: GraphStore(options: options))
  }

  init(
    options: Options, attributes: IndexAttributes, savedSequence: UInt64 = 0, store: GraphStore
  ) {
    self.options = options
    self.attributes = attributes
    self.savedSequence = savedSequence
    self.store = store
    readers = cvx_readers_create(UInt32(options.dimension))
    current = .allocate(capacity: 1)
    current.initialize(to: store.view)
  }

  deinit {
    cvx_readers_destroy(readers)
    current.deallocate()
  }

  /// Rows that a search can return.
  public var count: Int { withView { Int(cvx_live_count($0)) } }

  /// Removed and replaced rows whose memory was not used again; `compact` gives it back.
  public var tombstoneCount: Int {
    withView { max(0, Int(cvx_count($0)) - Int(cvx_live_count($0))) }
  }

  /// The vector as it is compared (of length 1 under cosine), within the precision of the storage,
  /// or nil.
  public func vector(for id: UInt64) -> [Float]? {
    lock.write { store.slot(of: id).map(store.vector) }
  }

  private func withView<Value>(_ body: (UnsafeMutablePointer<cvx_view>) -> Value) -> Value {
    let reader = cvx_reader_enter(readers)
    defer { cvx_reader_leave(reader) }
    return body(cvx_current(current))
  }

  // MARK: Changes

  /// Calls `body` with the store and memory for `threads` threads; no other change comes between.
  func change<Value, Failure: Error>(
    threads: Int = 1, _ body: (GraphStore, [InsertScratch]) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try lock.write { () throws(Failure) in
      while scratches.count < threads {
        scratches.append(InsertScratch(dimension: options.dimension))
      }
      let value = try body(store, Array(scratches.prefix(threads)))
      releaseRetired()
      return value
    }
  }

  /// Puts another store in the place of the present one; called inside `change`.
  func replaceStore(by store: GraphStore) {
    let old = self.store
    self.store = store
    cvx_publish(current, store.view)
    retired.append((cvx_readers_advance(readers), old))
  }

  private func releaseRetired() {
    guard !retired.isEmpty else { return }
    let oldest = cvx_readers_oldest(readers)
    retired.removeAll { $0.epoch < oldest }
  }

  /// The first broken rule of the graph's structure, or nil: for tests and for `verify` commands.
  package func brokenInvariant() -> String? { change { store, _ in store.brokenInvariant() } }

  /// Whether walks go by the codes' upper halves: found out as rows come, set by tests.
  package var walksByNibbles: Bool {
    get { change { store, _ in cvx_by_nibbles(store.view) != 0 } }
    set {
      change { store, _ in
        let mayBe = store.short != nil && store.mappedFrom == nil
        cvx_set_by_nibbles(store.view, newValue && mayBe ? 1 : 0)
      }
    }
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
