import CVector

extension GraphStore {
  /// The first rule of the structure that does not hold, or nil.
  func brokenInvariant() -> String? {
    guard table.count == liveCount else { return "\(table.count) ids for \(liveCount) live rows" }
    for slot in 0..<UInt32(count) where isLive(slot) {
      guard self.slot(of: id(slot)) == slot else { return "node \(slot) is not under its id" }
    }
    return brokenGraph() ?? brokenRemoved() ?? brokenNibbles()
  }

  /// Removed rows are walked through until they are swept: none may lead to a slot that is free.
  private func brokenRemoved() -> String? {
    let unused = Set(free + limbo.flatMap(\.slots))
    for slot in pending {
      for layer in 0...level(slot) {
        if let target = neighbours(slot, layer).first(where: unused.contains) {
          return "removed node \(slot), layer \(layer): edge to \(target), which is free"
        }
      }
    }
    return nil
  }

  /// Codes that were written without their nibbles would be walked by those of a row before.
  private func brokenNibbles() -> String? {
    guard let nibbles = view.pointee.nibbles, mappedFrom == nil else { return nil }
    let (stride, short) = (Int(view.pointee.stride), Int(view.pointee.nibble_stride))
    for slot in 0..<count where isLive(UInt32(slot)) {
      for at in 0..<options.dimension {
        let pair = nibbles[slot * short + at / 128 * 64 + at % 64]
        let nibble = at % 128 < 64 ? pair & 15 : pair >> 4
        guard nibble == view.pointee.codes[slot * stride + at] >> 4 else {
          return "node \(slot): nibble \(at) is not that of its code"
        }
      }
    }
    return nil
  }

  /// The same without the ids. Every edge is looked at once.
  func brokenGraph() -> String? {
    guard count > 0 else { return nil }
    guard Int(entry) < count else { return "entry point \(entry) of \(count) nodes" }
    var check = EdgeCheck(count: count, unused: free + limbo.flatMap(\.slots))
    for slot in 0..<UInt32(count) where isLive(slot) {
      for layer in 0...level(slot) {
        if let broken = brokenEdges(slot, layer, &check) {
          return "node \(slot), layer \(layer): \(broken)"
        }
      }
    }
    return nil
  }

  func neighbours(_ slot: UInt32, _ layer: Int) -> [UInt32] { Array(words(slot, layer)) }

  /// The places of a list, used or not.
  private func words(_ slot: UInt32, _ layer: Int) -> UnsafeBufferPointer<UInt32> {
    let count = layer == 0 ? 2 * options.m : options.m
    let start =
      layer == 0
      ? view.pointee.edges + Int(slot) * count
      : view.pointee.upper_edges
        + (Int(view.pointee.upper_starts[Int(slot)]) + layer - 1) * count
    return UnsafeBufferPointer(start: start, count: count)
  }

  private func brokenEdges(_ slot: UInt32, _ layer: Int, _ check: inout EdgeCheck) -> String? {
    var hasEnded = false
    check.beginList()
    for target in words(slot, layer) {
      if target == Self.noEdge {
        hasEnded = true
        continue
      }
      guard !hasEnded else { return "an edge after the end" }
      guard Int(target) < count else { return "edge to \(target) of \(count) nodes" }
      guard target != slot else { return "edge to itself" }
      guard level(target) >= layer else { return "edge above its target" }
      switch check.meet(target) {
      case .first: break
      case .again: return "the same edge twice"
      case .unused: return "edge to a slot that is free"
      }
    }
    return nil
  }
}

/// Which targets the list that is being looked at has had.
private struct EdgeCheck {
  enum Meeting { case first, again, unused }

  /// The number of the last list that had the target; `unused` for one that none may have.
  private var lists: [UInt64]
  private var list: UInt64 = 0
  private static let unused = UInt64.max

  init(count: Int, unused: [UInt32]) {
    lists = [UInt64](repeating: 0, count: count)
    for slot in unused { lists[Int(slot)] = Self.unused }
  }

  mutating func beginList() { list += 1 }

  mutating func meet(_ target: UInt32) -> Meeting {
    let last = lists[Int(target)]
    if last == Self.unused { return .unused }
    lists[Int(target)] = list
    return last == list ? .again : .first
  }
}
