extension HNSWGraph {
  /// The first rule of the structure that does not hold, or nil. A graph from a file is used only
  /// when all hold: the walks rely on them without checking.
  func brokenInvariant() -> String? {
    guard rows.count == count else { return "\(rows.count) rows for \(count) nodes" }
    guard rows.slots.count == liveCount else {
      return "\(rows.slots.count) ids for \(liveCount) live rows"
    }
    guard let entry else { return count == 0 ? nil : "rows but no entry point" }
    guard Int(entry) < count else { return "entry point \(entry) of \(count) nodes" }
    guard levels[Int(entry)] == levels.max() else { return "entry point below the top layer" }
    for slot in 0..<UInt32(count) {
      for layer in 0...Int(levels[Int(slot)]) {
        if let broken = brokenEdges(slot, layer) { return broken }
      }
    }
    return nil
  }

  private func brokenEdges(_ slot: UInt32, _ layer: Int) -> String? {
    let set = neighbours(slot, layer)
    let place = "node \(slot), layer \(layer)"
    for target in set {
      guard Int(target) < count else { return "\(place): edge to \(target) of \(count) nodes" }
      guard target != slot else { return "\(place): edge to itself" }
      guard Int(levels[Int(target)]) >= layer else { return "\(place): edge above its target" }
    }
    guard Set(set).count == set.count else { return "\(place): the same edge twice" }
    let words = edges(slot, layer)
    for index in set.count..<edgesMax(layer) where words[index] != Self.noEdge {
      return "\(place): an edge after the end"
    }
    return nil
  }
}
