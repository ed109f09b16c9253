import Base
import VectorIndex

extension BenchVectors {
  /// Clouds around centres, for a look without data: the same on every machine.
  static func seeded(rows: Int = 10_000, dimension: Int = 128, queries: Int = 200) -> BenchVectors {
    let random = SeededRandom(seed: 1)
    func normal() -> Float {
      // A sum of uniforms is near enough to a bell.
      var sum = -3.0
      for _ in 0..<6 { sum += random.unit() }
      return Float(sum)
    }
    let centres = (0..<rows / 50).map { _ in (0..<dimension).map { _ in normal() } }
    func draw(_ count: Int) -> [Float] {
      var all: [Float] = []
      all.reserveCapacity(count * dimension)
      for _ in 0..<count {
        let centre = centres[Int(random.next(below: UInt64(centres.count)))]
        for component in centre { all.append(component + 0.9 * normal()) }
      }
      return all
    }
    return BenchVectors(
      label: "seeded clustered set, \(rows) x \(dimension) (not real data)", metric: .cosine,
      dimension: dimension, rows: draw(rows), queries: draw(queries))
  }
}
