/// A vector that was checked for one metric: the right length, finite, and of length 1 under
/// cosine. Only such vectors reach the rows and the search, so that no distance is ever NaN.
struct PreparedVector {
  /// The largest Σ xᵢ² of a vector: (|a| + |b|)² of two such vectors still fits a Float32.
  static let squaredNormMax = Double(Float.greatestFiniteMagnitude) / 4

  let components: [Float]

  /// Takes components that were prepared before.
  init(prepared components: [Float]) { self.components = components }

  init(_ vector: [Float], dimension: Int, metric: Metric) throws(VectorIndexError) {
    guard vector.count == dimension else {
      throw .dimensionMismatch(expected: dimension, actual: vector.count)
    }
    // In Float64, where the squares of tiny and of huge components neither vanish nor overflow.
    var squares = 0.0
    for value in vector { squares += Double(value) * Double(value) }
    guard squares.isFinite else {
      throw .componentNotFinite(position: vector.firstIndex { !$0.isFinite } ?? 0)
    }
    if metric == .cosine {
      guard squares > 0 else { throw .zeroVector }
      let scale = 1 / squares.squareRoot()
      components = vector.map { Float(Double($0) * scale) }
    } else {
      guard squares <= Self.squaredNormMax else { throw .magnitudeTooLarge }
      components = vector
    }
  }
}
