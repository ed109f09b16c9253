extension HNSWGraph {
  /// Algorithm 1 of the paper: connects the row that was appended last.
  func insertLastRow() {
    precondition(rows.count == count + 1)
    let level = drawLevel(count)
    let slot = appendNode(level: level)
    guard let entry else { return setEntry(slot) }
    let query = rows.row(slot)
    let top = Int(levels[Int(entry)])
    var start = descend(query, from: entry, above: min(level, top)).nearest
    for layer in stride(from: min(level, top), through: 0, by: -1) {
      let found = searchLayer(query, from: start, ef: efConstruction, layer: layer).nearest
      connect(slot, to: select(found, limit: m), layer: layer)
      start = found[0]
    }
    if level > top { setEntry(slot) }
  }

  private func connect(_ slot: UInt32, to chosen: [Candidate], layer: Int) {
    setNeighbours(slot, layer, chosen)
    for candidate in chosen {
      link(candidate.slot, to: Candidate(distance: candidate.distance, slot: slot), layer: layer)
    }
  }

  /// Adds an edge; a full list is chosen anew from what it had and the new one.
  private func link(_ slot: UInt32, to added: Candidate, layer: Int) {
    let existing = neighbours(slot, layer)
    if existing.count < edgesMax(layer) {
      edges(slot, layer)[existing.count] = added.slot
      return
    }
    let row = rows.row(slot)
    var candidates = existing.map { Candidate(distance: distance(row, $0), slot: $0) }
    candidates.append(added)
    candidates.sort()
    setNeighbours(slot, layer, select(candidates, limit: edgesMax(layer)))
  }

  /// Algorithm 4 of the paper, without extending the candidates and keeping pruned ones: of
  /// `candidates` (nearest first) those that none chosen before shadows, so that edges point in
  /// different directions; then the nearest of the rest while there is room.
  func select(_ candidates: [Candidate], limit: Int) -> [Candidate] {
    guard candidates.count > limit else { return candidates }
    var chosen: [Candidate] = []
    var pruned: [Candidate] = []
    for candidate in candidates {
      guard chosen.count < limit else { break }
      if chosen.contains(where: { shadows($0, candidate) }) {
        pruned.append(candidate)
      } else {
        chosen.append(candidate)
      }
    }
    chosen += pruned.prefix(limit - chosen.count)
    return chosen
  }

  /// Whether `chosen` leads to `candidate` well enough: it is nearer to it than the base is. A copy
  /// of the base is as far from everything as the base itself, so on equal distances it shadows
  /// its own copies only; else rows with many duplicates would be cut off from all others.
  private func shadows(_ chosen: Candidate, _ candidate: Candidate) -> Bool {
    let between = distance(rows.row(candidate.slot), chosen.slot)
    return between < candidate.distance
      || (between == candidate.distance && chosen.distance == candidate.distance)
  }
}
