/// Several rankings of the same ids made into one.
public enum RankFusion {
  /// The usual constant: how little it counts whether an id is first or second.
  public static let constant = 60.0

  public struct Ranked: Sendable, Hashable {
    public var id: UInt64
    /// Σ 1 / (constant + rank), ranks from 1.
    public var score: Double
  }

  /// Reciprocal rank fusion ("Reciprocal rank fusion outperforms Condorcet and individual rank
  /// learning methods", Cormack, Clarke and Büttcher, 2009): best first, equal scores by id.
  public static func reciprocal(
    _ rankings: [[UInt64]], limit: Int = .max, constant: Double = RankFusion.constant
  ) -> [Ranked] {
    var scores: [UInt64: Double] = [:]
    for ranking in rankings {
      for (rank, id) in ranking.enumerated() {
        scores[id, default: 0] += 1 / (constant + Double(rank + 1))
      }
    }
    let fused = scores.map { Ranked(id: $0.key, score: $0.value) }
    return Array(fused.sorted { ($1.score, $0.id) < ($0.score, $1.id) }.prefix(max(limit, 0)))
  }
}
