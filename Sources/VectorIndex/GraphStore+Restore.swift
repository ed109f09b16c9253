import CVector

extension GraphStore {
  /// Takes the nodes as a file holds them; the arrays follow, then `restoreRows`.
  func restoreShape(_ shape: [UInt8], entry: UInt32, isCentred centred: Bool) {
    precondition(count == 0)
    var lists = 0
    for (slot, byte) in shape.enumerated() {
      let level = byte & IndexSection.levelBits
      view.pointee.levels[slot] = level
      view.pointee.upper_starts[slot] = UInt32(lists)
      lists += Int(level)
    }
    upperLists = lists
    cvx_set_head(view, UInt32(shape.count), entry)
    isCentred = centred
  }

  /// Binds the ids of the live rows and checks every number that later work relies on; what is
  /// wrong, or nil.
  func restoreRows(_ shape: [UInt8]) -> String? {
    if let broken = brokenNumbers() { return broken }
    var squares: Float = 0
    for value in centre { squares += value * value }
    view.pointee.mean_square = squares
    for (slot, byte) in shape.enumerated() {
      if view.pointee.ids[slot] != UInt64(slot) { cvx_set_ids_are_slots(view, 0) }
      if byte & IndexSection.tombstoneBit == 0 {
        guard self.slot(of: id(UInt32(slot))) == nil else { return "one id for two rows" }
        bind(UInt32(slot))
      } else if byte & IndexSection.freeBit != 0 {
        free.append(UInt32(slot))
      } else {
        pending.append(UInt32(slot))
      }
    }
    free.reverse()
    noteRemoved()
    guard count == 0 || Int(entry) < count else { return "entry point \(entry) of \(count) nodes" }
    if let broken = brokenGraph() { return broken }
    shortenAll()
    judgeNibbles(scratch: InsertScratch(dimension: options.dimension))
    return nil
  }

  /// A distance computed from these never overflows or becomes NaN.
  private func brokenNumbers() -> String? {
    let largest = Float.greatestFiniteMagnitude.squareRoot()
    for slot in 0..<count {
      let factor = view.pointee.factors[slot]
      guard factor.scale >= 0, factor.scale < largest, factor.bias.isFinite else {
        return "a row that is not finite"
      }
    }
    return centre.allSatisfy { abs($0) < largest } ? nil : "a mean that is not finite"
  }
}
