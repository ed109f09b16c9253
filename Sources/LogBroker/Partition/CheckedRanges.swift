/// Which parts of a segment have been compared with their checksums since it was opened. Forgets
/// some rather than grow.
struct CheckedRanges {
  /// Ascending, none touching the next.
  private var ranges: [Range<Int>] = []

  private static let countMax = 64

  func contains(_ range: Range<Int>) -> Bool {
    let index = firstIndex(endingAfter: range.lowerBound)
    return index < ranges.count && ranges[index].lowerBound <= range.lowerBound
      && range.upperBound <= ranges[index].upperBound
  }

  /// Adds a frame. One that begins at the block after another touches it: between them is nothing.
  mutating func insert(_ range: Range<Int>) {
    let block = LogLimits.blockBytes
    let first = ranges.firstIndex {
      $0.upperBound >= range.lowerBound
        || (range.lowerBound % block == 0 && range.lowerBound - $0.upperBound < block)
    }
    guard let first, ranges[first].lowerBound <= range.upperBound else {
      let index = firstIndex(endingAfter: range.lowerBound)
      if ranges.count == Self.countMax { ranges.removeAll() }
      ranges.insert(range, at: min(index, ranges.count))
      return
    }
    var merged = ranges[first]
    merged =
      min(merged.lowerBound, range.lowerBound)..<max(merged.upperBound, range.upperBound)
    while first + 1 < ranges.count, ranges[first + 1].lowerBound <= merged.upperBound {
      let next = ranges.remove(at: first + 1)
      merged = merged.lowerBound..<max(merged.upperBound, next.upperBound)
    }
    ranges[first] = merged
  }

  private func firstIndex(endingAfter position: Int) -> Int {
    ranges.firstIndex { $0.upperBound > position } ?? ranges.count
  }
}
