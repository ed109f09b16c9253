/// The layered graph of "Efficient and robust approximate nearest neighbor search using
/// Hierarchical Navigable Small World graphs" (Malkov and Yashunin, 2018) over the rows of a
/// `RowStore`. Not thread-safe; `VectorIndex` holds its lock around every call.
///
/// A removed row stays as a tombstone: it is walked through and never returned.
final class HNSWGraph {
  /// Ends a list of edges that is not full.
  static let noEdge = UInt32.max
  /// Layers above this one are of no use below 16⁸ rows.
  static let levelMax = 15

  let rows: RowStore
  let metric: Metric
  /// M of the paper: edges a node gets when it is inserted, and the most above layer 0.
  let m: Int
  let efConstruction: Int
  let seed: UInt64

  /// The most edges in layer 0 (the paper's recommended 2·M).
  var edgesMax0: Int { 2 * m }

  private(set) var levels: [UInt8] = []
  private(set) var isTombstone: [Bool] = []
  private(set) var tombstones = 0
  /// `edgesMax0` words a node, then the layers above for the nodes that have some: `upperStarts`
  /// says where in `upperEdges`, `m` words a layer.
  let edges0: Arena<UInt32>
  let upperEdges: Arena<UInt32>
  private(set) var upperStarts: [Int] = []
  private(set) var entry: UInt32?

  init(rows: RowStore, metric: Metric, options: VectorIndex.Options, rowsExpected: Int = 0) {
    self.rows = rows
    self.metric = metric
    m = options.m
    efConstruction = options.efConstruction
    seed = options.seed
    edges0 = Arena(capacity: rowsExpected * 2 * options.m)
    upperEdges = Arena()
  }

  var count: Int { levels.count }
  var liveCount: Int { levels.count - tombstones }

  func edgesMax(_ layer: Int) -> Int { layer == 0 ? edgesMax0 : m }

  /// Where the edges of `slot` in `layer` begin; `edgesMax(layer)` words.
  @inline(__always)
  func edges(_ slot: UInt32, _ layer: Int) -> UnsafeMutablePointer<UInt32> {
    layer == 0
      ? edges0.base + Int(slot) * edgesMax0
      : upperEdges.base + upperStarts[Int(slot)] + (layer - 1) * m
  }

  /// The edges of `slot` in `layer` that are set.
  func neighbours(_ slot: UInt32, _ layer: Int) -> UnsafeBufferPointer<UInt32> {
    let start = edges(slot, layer)
    var count = 0
    while count < edgesMax(layer), start[count] != Self.noEdge { count += 1 }
    return UnsafeBufferPointer(start: start, count: count)
  }

  func setNeighbours(_ slot: UInt32, _ layer: Int, _ chosen: [Candidate]) {
    precondition(chosen.count <= edgesMax(layer))
    let start = edges(slot, layer)
    for (index, candidate) in chosen.enumerated() { start[index] = candidate.slot }
    for index in chosen.count..<edgesMax(layer) { start[index] = Self.noEdge }
  }

  @inline(__always)
  func distance(_ query: UnsafePointer<Float>, _ slot: UInt32) -> Float {
    metric.distance(query, rows.row(slot), rows.dimension)
  }

  /// Makes room for a node of `level` without edges; it is the next slot.
  func appendNode(level: Int) -> UInt32 {
    let slot = UInt32(levels.count)
    levels.append(UInt8(level))
    isTombstone.append(false)
    upperStarts.append(upperEdges.count)
    edges0.grow(by: edgesMax0, filledWith: Self.noEdge)
    upperEdges.grow(by: level * m, filledWith: Self.noEdge)
    return slot
  }

  func setEntry(_ slot: UInt32?) { entry = slot }

  func bury(_ slot: UInt32) {
    precondition(!isTombstone[Int(slot)])
    isTombstone[Int(slot)] = true
    tombstones += 1
  }

  /// The layer up to which the node at `slot` reaches: geometric with ratio 1/M, drawn from the
  /// seed and the slot alone, so that a build is the same on every run and after every load.
  func drawLevel(_ slot: Int) -> Int {
    var mixed = seed &+ UInt64(slot) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    mixed ^= mixed >> 31
    var level = 0
    var threshold = UInt64.max / UInt64(m)
    while level < Self.levelMax, mixed < threshold {
      level += 1
      threshold /= UInt64(m)
    }
    return level
  }

  // MARK: Files

  /// Takes the shape of a graph as a file holds it; the edges follow by `edges0`, `upperEdges`.
  func restore(levels restored: [UInt8], isTombstone buried: [Bool], entry: UInt32?) {
    precondition(levels.isEmpty)
    levels = restored
    isTombstone = buried
    tombstones = buried.count { $0 }
    upperStarts.reserveCapacity(restored.count)
    var words = 0
    for level in restored {
      upperStarts.append(words)
      words += Int(level) * m
    }
    edges0.grow(by: restored.count * edgesMax0, filledWith: Self.noEdge)
    upperEdges.grow(by: words, filledWith: Self.noEdge)
    self.entry = entry
  }
}
