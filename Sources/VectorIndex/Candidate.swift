/// A row and its distance from the query, in one word: ordered by distance, then by slot, so that
/// equal distances never make two runs differ.
struct Candidate: Comparable, BitwiseCopyable {
  /// The distance's bits, mapped so that they order as unsigned, above the slot.
  let key: UInt64

  init(distance: Float, slot: UInt32) {
    let bits = distance.bitPattern
    let ordered = bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
    key = UInt64(ordered) << 32 | UInt64(slot)
  }

  var slot: UInt32 { UInt32(truncatingIfNeeded: key) }

  var distance: Float {
    let ordered = UInt32(truncatingIfNeeded: key >> 32)
    return Float(bitPattern: ordered & 0x8000_0000 == 0 ? ~ordered : ordered & 0x7FFF_FFFF)
  }

  @inline(__always)
  static func < (left: Candidate, right: Candidate) -> Bool { left.key < right.key }
}

/// A binary heap of candidates.
struct CandidateHeap {
  enum Order { case nearestFirst, farthestFirst }

  private var items: [Candidate] = []
  private let order: Order

  init(_ order: Order) { self.order = order }

  var count: Int { items.count }
  var first: Candidate? { items.first }
  /// In no order.
  var unordered: [Candidate] { items }

  mutating func insert(_ candidate: Candidate) {
    items.append(candidate)
    var at = items.count - 1
    while at > 0 {
      let parent = (at - 1) / 2
      guard precedes(items[at], items[parent]) else { return }
      items.swapAt(at, parent)
      at = parent
    }
  }

  mutating func removeFirst() -> Candidate {
    items.swapAt(0, items.count - 1)
    let removed = items.removeLast()
    var at = 0
    while true {
      var child = 2 * at + 1
      guard child < items.count else { return removed }
      if child + 1 < items.count, precedes(items[child + 1], items[child]) { child += 1 }
      guard precedes(items[child], items[at]) else { return removed }
      items.swapAt(at, child)
      at = child
    }
  }

  @inline(__always)
  private func precedes(_ left: Candidate, _ right: Candidate) -> Bool {
    order == .nearestFirst ? left < right : right < left
  }
}

/// The `limit` nearest of all that were offered.
struct NearestSet {
  private var heap = CandidateHeap(.farthestFirst)
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  var count: Int { heap.count }
  var isFull: Bool { heap.count >= limit }
  /// The farthest of those kept.
  var worst: Candidate? { heap.first }

  /// Whether `candidate` is now among them.
  @discardableResult
  mutating func offer(_ candidate: Candidate) -> Bool {
    if isFull {
      guard let worst = heap.first, candidate < worst else { return false }
      _ = heap.removeFirst()
    }
    heap.insert(candidate)
    return true
  }

  /// Nearest first.
  var sorted: [Candidate] { heap.unordered.sorted() }
}
