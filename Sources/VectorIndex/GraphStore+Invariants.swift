import CVector

extension GraphStore {
  /// The first rule of the structure that does not hold, or nil.
  func brokenInvariant() -> String? {
    guard table.count == liveCount else { return "\(table.count) ids for \(liveCount) live rows" }
    guard count > 0 else { return nil }
    guard Int(entry) < count else { return "entry point \(entry) of \(count) nodes" }
    for slot in 0..<UInt32(count) where isLive(slot) {
      guard self.slot(of: id(slot)) == slot else { return "node \(slot) is not under its id" }
      for layer in 0...level(slot) {
        if let broken = brokenEdges(slot, layer) { return broken }
      }
    }
    return nil
  }

  func neighbours(_ slot: UInt32, _ layer: Int) -> [UInt32] {
    let words = layer == 0 ? 2 * options.m : options.m
    let start =
      layer == 0
      ? view.pointee.edges + Int(slot) * words
      : view.pointee.upper_edges
        + (Int(view.pointee.upper_starts[Int(slot)]) + layer - 1) * words
    return Array(UnsafeBufferPointer(start: start, count: words))
  }

  private func brokenEdges(_ slot: UInt32, _ layer: Int) -> String? {
    let words = neighbours(slot, layer)
    let set = words.prefix { $0 != Self.noEdge }
    let place = "node \(slot), layer \(layer)"
    let unused = Set(free).union(limbo.flatMap(\.slots))
    for target in set {
      guard Int(target) < count else { return "\(place): edge to \(target) of \(count) nodes" }
      guard target != slot else { return "\(place): edge to itself" }
      guard level(target) >= layer else { return "\(place): edge above its target" }
      guard !unused.contains(target) else { return "\(place): edge to a slot that is free" }
    }
    guard Set(set).count == set.count else { return "\(place): the same edge twice" }
    guard words.dropFirst(set.count).allSatisfy({ $0 == Self.noEdge }) else {
      return "\(place): an edge after the end"
    }
    return nil
  }
}
