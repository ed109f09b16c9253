extension HNSWGraph {
  /// What a walk found, and what it cost.
  struct Walk {
    var nearest: [Candidate]
    /// Distances computed.
    var evaluations: Int
    /// False when the walk gave up at its limit.
    var isComplete: Bool
  }

  /// Walks down to `layer` + 1, in each layer to the row nearest the query.
  func descend(_ query: UnsafePointer<Float>, from start: UInt32, above layer: Int)
    -> (nearest: Candidate, evaluations: Int)
  {
    var best = Candidate(distance: distance(query, start), slot: start)
    var evaluations = 1
    var current = Int(levels[Int(start)])
    while current > layer {
      var improved = true
      while improved {
        improved = false
        for slot in neighbours(best.slot, current) {
          let candidate = Candidate(distance: distance(query, slot), slot: slot)
          evaluations += 1
          if candidate < best {
            best = candidate
            improved = true
          }
        }
      }
      current -= 1
    }
    return (best, evaluations)
  }

  /// Algorithm 2 of the paper: the `ef` nearest in one layer among those that `admits` lets in;
  /// the others are walked through. Gives up after `limit` distances.
  func searchLayer(
    _ query: UnsafePointer<Float>, from start: Candidate, ef: Int, layer: Int,
    limit: Int = .max, admits: ((UInt32) -> Bool)? = nil
  ) -> Walk {
    var visited = VisitedSet(count: count)
    var frontier = CandidateHeap(.nearestFirst)
    var nearest = NearestSet(limit: ef)
    var evaluations = 0
    visited.insert(start.slot)
    frontier.insert(start)
    if admits?(start.slot) ?? true { nearest.offer(start) }
    while frontier.count > 0 {
      let current = frontier.removeFirst()
      if nearest.isFull, let worst = nearest.worst, worst < current { break }
      for slot in neighbours(current.slot, layer) where visited.insert(slot) {
        let candidate = Candidate(distance: distance(query, slot), slot: slot)
        evaluations += 1
        guard !nearest.isFull || candidate < nearest.worst! else { continue }
        frontier.insert(candidate)
        if admits?(slot) ?? true { nearest.offer(candidate) }
      }
      if evaluations > limit {
        return Walk(nearest: nearest.sorted, evaluations: evaluations, isComplete: false)
      }
    }
    return Walk(nearest: nearest.sorted, evaluations: evaluations, isComplete: true)
  }
}

/// One bit a slot.
struct VisitedSet {
  private var words: [UInt64]

  init(count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

  /// Whether `slot` is new.
  @inline(__always)
  @discardableResult
  mutating func insert(_ slot: UInt32) -> Bool {
    let word = Int(slot >> 6)
    let bit = UInt64(1) << UInt64(slot & 63)
    let isNew = words[word] & bit == 0
    words[word] |= bit
    return isNew
  }
}
