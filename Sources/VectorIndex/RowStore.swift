import CVector

/// Vectors of one dimension by slot, each on its own cache lines, with the caller's ids; and the
/// codes by which a batch of queries knows the rows that need no look.
final class RowStore {
  let dimension: Int
  /// Floats from one row to the next: the dimension rounded up to whole cache lines.
  let stride: Int
  private(set) var ids: [UInt64] = []
  private(set) var slots: [UInt64: UInt32] = [:]
  private let floats = Arena<Float>()
  private let codes = Arena<UInt8>()
  private let factors = Arena<cvx_factor>()
  private let live = Arena<UInt64>()
  private let mean: UnsafeMutablePointer<Float>
  private var coded = cvx_exact_rows()

  init(dimension: Int, metric: Metric) {
    self.dimension = dimension
    stride = Self.stride(dimension)
    mean = .allocate(capacity: dimension)
    mean.initialize(repeating: 0, count: dimension)
    coded.view.dimension = UInt32(dimension)
    coded.view.stride = UInt32(cvx_stride(dimension))
    coded.view.metric = metric.rawValue
    coded.view.mean = mean
    coded.row_stride = stride
  }

  deinit { mean.deallocate() }

  /// The rows as `cvx_exact_tile` takes them; until the next change.
  var exactRows: cvx_exact_rows { coded }

  static func stride(_ dimension: Int) -> Int { (dimension + 15) & ~15 }

  /// Rows in memory, also those of removed ids.
  var count: Int { ids.count }

  @inline(__always)
  func row(_ slot: UInt32) -> UnsafePointer<Float> {
    UnsafePointer(floats.base + Int(slot) * stride)
  }

  func components(_ slot: UInt32) -> [Float] {
    Array(UnsafeBufferPointer(start: row(slot), count: dimension))
  }

  /// Appends a row and binds `id` to it.
  func append(_ vector: PreparedVector, id: UInt64) -> UInt32 {
    let slot = UInt32(count)
    floats.grow(by: stride, filledWith: 0)
    vector.components.withUnsafeBufferPointer {
      (floats.base + Int(slot) * stride).update(from: $0.baseAddress!, count: dimension)
    }
    ids.append(id)
    slots[id] = slot
    encode(vector, slot)
    return slot
  }

  private func encode(_ vector: PreparedVector, _ slot: UInt32) {
    codes.grow(by: Int(coded.view.stride), filledWith: 0)
    factors.grow(by: 1, filledWith: cvx_factor())
    if slot & 63 == 0 { live.grow(by: 1, filledWith: .max) }
    noteArrays()
    var rotated = vector.components
    cvx_exact_encode(&coded, slot, &rotated)
  }

  private func noteArrays() {
    coded.rows = UnsafePointer(floats.base)
    coded.view.codes = codes.base
    coded.view.factors = factors.base
    coded.view.live = live.base
    coded.count = UInt32(count)
  }

  /// Takes the row away and moves the last one into its place.
  func removeMovingLast(id: UInt64) -> Bool {
    guard let slot = slots.removeValue(forKey: id) else { return false }
    let last = UInt32(count - 1)
    if slot != last {
      (floats.base + Int(slot) * stride).update(from: row(last), count: stride)
      let bytes = Int(coded.view.stride)
      (codes.base + Int(slot) * bytes).update(from: codes.base + Int(last) * bytes, count: bytes)
      factors.base[Int(slot)] = factors.base[Int(last)]
      ids[Int(slot)] = ids[Int(last)]
      slots[ids[Int(slot)]] = slot
    }
    floats.removeLast(stride)
    codes.removeLast(Int(coded.view.stride))
    factors.removeLast(1)
    if last & 63 == 0 { live.removeLast(1) }
    ids.removeLast()
    noteArrays()
    return true
  }
}
