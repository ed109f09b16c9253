/// What somebody probably meant to type.
enum Suggestion {
  /// The nearest of `names`, when it is near enough to be worth naming.
  static func nearest(to word: String, among names: [String]) -> String? {
    // A third of the letters wrong is another word.
    let limit = max(1, word.count / 3)
    let measured = names.map { (name: $0, distance: distance(word, $0)) }
    let best = measured.min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    guard let best, best.distance <= limit else {
      return names.filter { word.count >= 2 && $0.hasPrefix(word) }.min()
    }
    return best.name
  }

  /// For the end of a message: `; did you mean '…'?`, or nothing.
  static func clause(_ name: String?) -> String { name.map { "; did you mean '\($0)'?" } ?? "" }

  /// Letters to insert, remove, replace, or swap with their neighbour (optimal string alignment).
  static func distance(_ left: String, _ right: String) -> Int {
    let a = Array(left)
    let b = Array(right)
    var rows = [[Int]](
      repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
    for i in 0...a.count { rows[i][0] = i }
    for j in 0...b.count { rows[0][j] = j }
    guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
    for i in 1...a.count {
      for j in 1...b.count {
        let replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
        rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced)
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
          rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
        }
      }
    }
    return rows[a.count][b.count]
  }
}
