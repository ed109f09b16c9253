import Base
import VectorIndex

/// Seeded data of the shapes that graphs find easy and hard.
enum VectorSets {
  /// Rows of a built graph: a debug build takes its time for each distance.
  #if DEBUG
    static let rows = 1_000
  #else
    static let rows = 5_000
  #endif

  static func uniform(_ count: Int, _ dimension: Int, seed: UInt64) -> [[Float]] {
    let random = SeededRandom(seed: seed)
    return (0..<count).map { _ in (0..<dimension).map { _ in Float(random.unit() * 2 - 1) } }
  }

  /// Tight clouds around few centres.
  static func clustered(_ count: Int, _ dimension: Int, seed: UInt64) -> [[Float]] {
    let random = SeededRandom(seed: seed)
    let centres = uniform(40, dimension, seed: seed &+ 1)
    return (0..<count).map { _ in
      let centre = centres[Int(random.next(below: 40))]
      return centre.map { $0 + Float(random.unit() - 0.5) * 0.4 }
    }
  }

  /// Each vector some thirty times.
  static func duplicates(_ count: Int, _ dimension: Int, seed: UInt64) -> [[Float]] {
    let random = SeededRandom(seed: seed)
    let originals = uniform(max(1, count / 30), dimension, seed: seed &+ 1)
    return (0..<count).map { _ in originals[Int(random.next(below: UInt64(originals.count)))] }
  }

  static func index(_ rows: [[Float]], _ options: VectorIndex.Options) throws -> VectorIndex {
    let index = try VectorIndex(options: options)
    for (id, row) in rows.enumerated() { try index.add(row, id: UInt64(id)) }
    return index
  }

  /// The share of the true k nearest that `found` holds, ties counted as found.
  static func recall(_ found: [Neighbour], truth: [Neighbour]) -> Double {
    guard let limit = truth.last?.distance else { return 1 }
    let good = found.count { $0.distance <= limit + 1e-5 * max(1, abs(limit)) }
    return Double(min(good, truth.count)) / Double(truth.count)
  }
}
