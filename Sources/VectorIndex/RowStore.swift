/// Vectors of one dimension by slot, each on its own cache lines, with the caller's ids.
final class RowStore {
  let dimension: Int
  /// Floats from one row to the next: the dimension rounded up to whole cache lines.
  let stride: Int
  private(set) var ids: [UInt64] = []
  private(set) var slots: [UInt64: UInt32] = [:]
  private let floats: Arena<Float>

  init(dimension: Int, rows: Int = 0) {
    self.dimension = dimension
    stride = Self.stride(dimension)
    floats = Arena(capacity: rows * stride)
    ids.reserveCapacity(rows)
    slots.reserveCapacity(rows)
  }

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
    return slot
  }

  /// Takes the id away and leaves the row where it is.
  func unbind(id: UInt64) -> UInt32? { slots.removeValue(forKey: id) }

  /// Takes the row away and moves the last one into its place.
  func removeMovingLast(id: UInt64) -> Bool {
    guard let slot = slots.removeValue(forKey: id) else { return false }
    let last = UInt32(count - 1)
    if slot != last {
      (floats.base + Int(slot) * stride).update(from: row(last), count: stride)
      ids[Int(slot)] = ids[Int(last)]
      slots[ids[Int(slot)]] = slot
    }
    floats.removeLast(stride)
    ids.removeLast()
    return true
  }

  // MARK: Files

  var bytes: UnsafeRawBufferPointer { floats.bytes }

  /// Takes rows as a file holds them; false when two of the bound slots have one id.
  func restore<Failure: Error>(
    ids restored: [UInt64], isBound: (Int) -> Bool,
    rows fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) -> Bool {
    precondition(ids.isEmpty)
    floats.grow(by: restored.count * stride, filledWith: 0)
    try fill(floats.mutableBytes)
    ids = restored
    for (slot, id) in restored.enumerated() where isBound(slot) {
      guard slots.updateValue(UInt32(slot), forKey: id) == nil else { return false }
    }
    return true
  }
}
