import CVector

/// The mean of vectors, in Float64 and in their order.
struct RunningMean {
  private var sums: [Double]
  private var count = 0

  init(dimension: Int) { sums = [Double](repeating: 0, count: dimension) }

  mutating func add(_ vector: [Float]) {
    for (index, value) in vector.enumerated() { sums[index] += Double(value) }
    count += 1
  }

  var values: [Float] { sums.map { Float($0 / Double(max(1, count))) } }
}

extension GraphStore {
  /// The same rows and edges, the codes around the rows' own mean.
  func recentred() -> GraphStore {
    let other = GraphStore(options: options, rows: count + 1)
    var mean = RunningMean(dimension: options.dimension)
    var row = [Float](repeating: 0, count: options.dimension)
    for slot in 0..<UInt32(count) where isLive(slot) {
      row.withUnsafeMutableBufferPointer { rotatedRow(slot, into: $0.baseAddress!) }
      mean.add(row)
    }
    other.setMean(mean.values)
    other.appendSlots(upTo: count)
    for slot in 0..<UInt32(count) {
      row.withUnsafeMutableBufferPointer {
        rotatedRow(slot, into: $0.baseAddress!)
        other.setRow(slot, $0.baseAddress!, id: id(slot))
      }
    }
    for array in [StoredArray.edges, .upperEdges] { other.take(array, from: self) }
    other.takeState(of: self)
    return other
  }

  /// The same in a store with room for `rows`.
  func copied(rows: Int) -> GraphStore {
    let other = GraphStore(options: options, rows: rows)
    other.appendSlots(upTo: count)
    for array in StoredArray.allCases { other.take(array, from: self) }
    other.view.pointee.mean_square = view.pointee.mean_square
    other.view.pointee.ids_are_slots = view.pointee.ids_are_slots
    other.isCentred = isCentred
    other.takeState(of: self)
    return other
  }

  private func take(_ array: StoredArray, from other: GraphStore) {
    let source = other.bytes(of: array)
    guard let from = source.baseAddress, source.count > 0 else { return }
    arrayStart(array)?.copyMemory(from: from, byteCount: source.count)
  }

  /// Live rows, the entry point, and what waits to be used again.
  private func takeState(of other: GraphStore) {
    for slot in 0..<UInt32(other.count) where other.isLive(slot) { bind(slot) }
    cvx_set_head(view, UInt32(other.count), other.entry)
    (pending, free, sweep) = (other.pending, other.free, other.sweep)
    noteRemoved()
    shortenAll()
    judgeNibbles(scratch: InsertScratch(dimension: options.dimension))
    // No reader of this store has seen the slots that one of the other's may hold.
    for waiting in other.limbo { free = waiting.slots + free }
  }

  /// A store of the live rows in the order of their slots, its graph built anew.
  func compacted(scratches: [InsertScratch], control: WorkControl) throws(VectorIndexError)
    -> GraphStore
  {
    let left = (0..<UInt32(count)).filter(isLive)
    let other = GraphStore(options: options, rows: left.count)
    let dimension = options.dimension
    if isCentred { other.setMean(centre) }
    var done = 0
    while done < left.count {
      try control.step(done, of: left.count)
      let size = other.groupSize(left.count - done)
      var rows = [Float](repeating: 0, count: size * dimension)
      let ids = (done..<done + size).map { id(left[$0]) }
      rows.withUnsafeMutableBufferPointer { buffer in
        for index in 0..<size {
          rotatedRow(left[done + index], into: buffer.baseAddress! + index * dimension)
        }
      }
      other.insert(rows, ids: ids, count: size, areRotated: true, scratches: scratches)
      done += size
    }
    return other
  }
}
