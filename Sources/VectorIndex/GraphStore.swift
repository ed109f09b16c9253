import CVector

/// The rows and the graph of an index as flat arrays. Readers see them through `view` at any
/// moment; one writer at a time changes them (`VectorIndex` holds its lock).
///
/// The graph is that of "Efficient and robust approximate nearest neighbor search using
/// Hierarchical Navigable Small World graphs" (Malkov and Yashunin, 2018), its lists filled up with
/// the nearest that the heuristic left out. The rows are codes of 8 bits a component with a scale
/// of their own, after a rotation that spreads outlying components, around the rows' mean; 8 more
/// bits a component make the distances that are returned.
final class GraphStore {
  static let noEdge = UInt32.max
  /// Layers above this one are of no use below 16⁸ rows.
  static let levelMax = 15
  /// Bytes of codes for which address space is reserved; a store that fills it moves to one of
  /// `roomFactor` times that.
  static let reservedBytes = 8 << 30
  static let roomFactor = 16

  let options: VectorIndex.Options
  let view: UnsafeMutablePointer<cvx_view>
  /// Rows that fit.
  let capacity: Int

  private let codes: ArraySpace<UInt8>
  private let residuals: ArraySpace<Int8>?
  private let factors: ArraySpace<cvx_factor>
  let short: ShortCodes?
  private let edges: ArraySpace<UInt32>
  private let levels: ArraySpace<UInt8>
  private let upperStarts: ArraySpace<UInt32>
  private let upperEdges: ArraySpace<UInt32>
  private let live: ArraySpace<UInt64>
  private let ids: ArraySpace<UInt64>
  private let mean: UnsafeMutablePointer<Float>

  /// What only the writer knows.
  var table = IDTable()
  /// Lists of the layers above 0.
  var upperLists = 0
  /// The file that the arrays are mapped from; nothing may be changed then.
  var mappedFrom: MappedOrigin?
  /// Whether the mean is that of the rows.
  var isCentred = false
  /// Removed slots that edges may lead to.
  var pending: [UInt32] = []
  /// Removed slots that no edge leads to, but that a reader may still hold.
  var limbo: [(epoch: UInt64, slots: [UInt32])] = []
  /// Slots to be used again, the next one last.
  var free: [UInt32] = []
  var sweep: Sweep?
  /// Rows that came since it was last asked whether walks may go by nibbles.
  var unjudged = 0

  /// A pass over all lists that replaces edges to removed slots.
  struct Sweep {
    var dead: [UInt64]
    var slots: [UInt32]
    var next = 0
  }

  init(options: VectorIndex.Options, rows wanted: Int = 0) {
    self.options = options
    let stride = cvx_stride(options.dimension)
    var rows = min(VectorIndex.rowsMax, max(1024, Self.reservedBytes / stride))
    while rows < wanted { rows *= Self.roomFactor }
    rows = min(rows, VectorIndex.rowsMax)
    let isCompact = options.storage == .compact
    let arePaid = !isCompact && ShortCodes.pay(stride: stride)
    while true {
      if let codes = ArraySpace<UInt8>(reserving: rows * stride),
        let residuals = ArraySpace<Int8>(reserving: isCompact ? 1 : rows * stride),
        let factors = ArraySpace<cvx_factor>(reserving: rows),
        let edges = ArraySpace<UInt32>(reserving: rows * 2 * options.m),
        let levels = ArraySpace<UInt8>(reserving: rows),
        let upperStarts = ArraySpace<UInt32>(reserving: rows),
        let upperEdges = ArraySpace<UInt32>(reserving: rows * options.m),
        let live = ArraySpace<UInt64>(reserving: rows / 64 + 1),
        let ids = ArraySpace<UInt64>(reserving: rows),
        case let short = arePaid ? ShortCodes(stride: stride, rows: rows) : nil,
        short != nil || !arePaid
      {
        (self.codes, self.factors, self.edges, self.levels) = (codes, factors, edges, levels)
        self.residuals = isCompact ? nil : residuals
        self.short = short
        (self.upperStarts, self.upperEdges) = (upperStarts, upperEdges)
        (self.live, self.ids) = (live, ids)
        break
      }
      guard rows > max(wanted, 1024) else { fatalError("out of address space") }
      rows = max(rows / 2, wanted, 1024)
    }
    capacity = rows
    mean = .allocate(capacity: stride)
    mean.initialize(repeating: 0, count: stride)
    view = .allocate(capacity: 1)
    view.initialize(to: cvx_view())
    setView(stride: stride)
  }

  private func setView(stride: Int) {
    view.pointee.dimension = UInt32(options.dimension)
    view.pointee.stride = UInt32(stride)
    view.pointee.metric = options.metric.rawValue
    view.pointee.degree = UInt32(2 * options.m)
    view.pointee.upper_degree = UInt32(options.m)
    view.pointee.ef_construction = UInt32(options.efConstruction)
    view.pointee.codes = codes.base
    view.pointee.residuals = residuals?.base
    view.pointee.factors = factors.base
    view.pointee.nibbles = short?.nibbles.base
    view.pointee.nibble_factors = short?.factors.base
    view.pointee.nibble_stride = cvx_nibble_stride(UInt32(stride))
    view.pointee.edges = edges.base
    view.pointee.levels = levels.base
    view.pointee.upper_starts = upperStarts.base
    view.pointee.upper_edges = upperEdges.base
    view.pointee.live = live.base
    view.pointee.ids = ids.base
    view.pointee.mean = mean
    view.pointee.ids_are_slots = 1
  }

  deinit {
    view.deallocate()
    mean.deallocate()
  }

  /// Slots in use, those of removed rows included.
  var count: Int { Int(cvx_count(view)) }
  var liveCount: Int { Int(cvx_live_count(view)) }
  var entry: UInt32 { cvx_entry(view) }
  /// Rows of new slots, and whether slots wait to be used again.
  var room: Int { free.count + capacity - count }

  func level(_ slot: UInt32) -> Int { Int(levels.base[Int(slot)]) }
  func isLive(_ slot: UInt32) -> Bool { cvx_live(view, slot) != 0 }
  func id(_ slot: UInt32) -> UInt64 { ids.base[Int(slot)] }
  func slot(of id: UInt64) -> UInt32? {
    mappedFrom == nil ? table.slot(of: id, ids.base) : mappedSlot(of: id)
  }

  /// The layer up to which the node at `slot` reaches: geometric with ratio 1/M, drawn from the
  /// seed and the slot alone, so that a build is the same on every run and after every load.
  func drawLevel(_ slot: Int) -> Int {
    var mixed = options.seed &+ UInt64(slot) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    mixed ^= mixed >> 31
    var level = 0
    var threshold = UInt64.max / UInt64(options.m)
    while level < Self.levelMax, mixed < threshold {
      level += 1
      threshold /= UInt64(options.m)
    }
    return level
  }

  /// Makes the slots up to `slots` usable, with their levels and without edges.
  func appendSlots(upTo slots: Int) {
    let known = count
    for slot in known..<slots {
      let level = drawLevel(slot)
      levels.base[slot] = UInt8(level)
      upperStarts.base[slot] = UInt32(upperLists)
      upperLists += level
    }
    for slot in known..<slots { cvx_clear_edges(view, UInt32(slot)) }
    prepareGrowth(beyond: slots)
  }

  /// Has a page of the memory that the next rows will be in made, where it is time, on a thread of
  /// its own: no addition waits for it, and no lock is held meanwhile. Where the thread comes late,
  /// the addition that needs the page makes it. All arrays may come to the end of their pages with
  /// the same row; one is made with each addition.
  private func prepareGrowth(beyond slots: Int) {
    let stride = Int(view.pointee.stride)
    let page =
      codes.pageToPrepare(beyond: slots * stride)
      ?? residuals?.pageToPrepare(beyond: slots * stride)
      ?? edges.pageToPrepare(beyond: slots * 2 * options.m)
      ?? factors.pageToPrepare(beyond: slots) ?? short?.pageToPrepare(beyond: slots)
      ?? ids.pageToPrepare(beyond: slots)
      ?? levels.pageToPrepare(beyond: slots)
      ?? upperStarts.pageToPrepare(beyond: slots)
      ?? upperEdges.pageToPrepare(beyond: upperLists * options.m)
    guard let page else { return }
    // The store keeps the memory mapped.
    NativeThread.start { [store = Unchecked(self), page = Unchecked(page)] in
      withExtendedLifetime(store) { cvx_touch_page(page.value) }
    }
  }

  // MARK: Rows

  func setMean(_ values: [Float]) {
    var squares: Float = 0
    for (index, value) in values.enumerated() {
      mean[index] = value
      squares += value * value
    }
    view.pointee.mean_square = squares
    isCentred = true
  }

  /// Writes a row that is rotated, and not yet centred, and its id.
  func setRow(_ slot: UInt32, _ rotated: UnsafeMutablePointer<Float>, id: UInt64) {
    let dimension = options.dimension
    let stride = Int(view.pointee.stride)
    for index in 0..<dimension { rotated[index] -= mean[index] }
    let at = Int(slot) * stride
    factors.base[Int(slot)] = cvx_encode(
      rotated, mean, dimension, Int32(options.metric.rawValue), codes.base + at,
      residuals.map { $0.base + at })
    cvx_shorten(view, slot)
    ids.base[Int(slot)] = id
    if id != UInt64(slot) { cvx_set_ids_are_slots(view, 0) }
  }

  /// The row as it was rotated, within the precision of its codes.
  func rotatedRow(_ slot: UInt32, into vector: UnsafeMutablePointer<Float>) {
    let at = Int(slot) * Int(view.pointee.stride)
    cvx_decode(
      codes.base + at, residuals.map { UnsafePointer($0.base + at) },
      factors.base[Int(slot)].scale, mean, options.dimension, vector)
  }

  /// The vector as it is compared.
  func vector(_ slot: UInt32) -> [Float] {
    [Float](unsafeUninitializedCapacity: options.dimension) { buffer, count in
      rotatedRow(slot, into: buffer.baseAddress!)
      cvx_rotate_back(buffer.baseAddress!, options.dimension)
      count = options.dimension
    }
  }

  func bind(_ slot: UInt32) {
    table.bind(ids.base[Int(slot)], to: slot, ids.base)
    cvx_set_live(view, slot, 1)
  }

  /// Takes the row of `id` out of all answers; the slot it had.
  func unbind(_ id: UInt64) -> UInt32? {
    guard let slot = table.unbind(id, ids.base) else { return nil }
    cvx_set_live(view, slot, 0)
    return slot
  }

  // MARK: Arrays

  /// The arrays by the number of their elements, as a file holds them.
  func bytes(of section: StoredArray) -> UnsafeMutableRawBufferPointer {
    let stride = Int(view.pointee.stride)
    return switch section {
    case .ids: ids.bytes(count)
    case .edges: edges.bytes(count * 2 * options.m)
    case .upperEdges: upperEdges.bytes(upperLists * options.m)
    case .codes: codes.bytes(count * stride)
    case .residuals:
      residuals?.bytes(count * stride) ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
    case .factors: factors.bytes(count)
    case .mean: UnsafeMutableRawBufferPointer(start: mean, count: options.dimension * 4)
    }
  }

  /// Where an array begins, whatever its length.
  func arrayStart(_ array: StoredArray) -> UnsafeMutableRawPointer? {
    switch array {
    case .ids: UnsafeMutableRawPointer(ids.base)
    case .edges: UnsafeMutableRawPointer(edges.base)
    case .upperEdges: UnsafeMutableRawPointer(upperEdges.base)
    case .codes: UnsafeMutableRawPointer(codes.base)
    case .residuals: residuals.map { UnsafeMutableRawPointer($0.base) }
    case .factors: UnsafeMutableRawPointer(factors.base)
    case .mean: UnsafeMutableRawPointer(mean)
    }
  }

  /// The mean the codes are around.
  var centre: [Float] { Array(UnsafeBufferPointer(start: mean, count: options.dimension)) }

  enum StoredArray: CaseIterable { case ids, edges, upperEdges, codes, residuals, factors, mean }
}
