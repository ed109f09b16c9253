import CVector

/// A vector that was checked for one metric: the right length, finite, and of length 1 under
/// cosine. Only such vectors reach the rows and the search, so that no distance is ever NaN.
struct PreparedVector {
  let components: [Float]

  /// Takes components that were prepared before.
  init(prepared components: [Float]) { self.components = components }

  init(_ vector: [Float], dimension: Int, metric: Metric) throws(VectorIndexError) {
    try self.init(vector.span, dimension: dimension, metric: metric)
  }

  init<Scalar: VectorScalar>(_ vector: Span<Scalar>, dimension: Int, metric: Metric)
    throws(VectorIndexError)
  {
    guard vector.count == dimension else {
      throw .dimensionMismatch(expected: dimension, actual: vector.count)
    }
    var buffer = [Float](repeating: 0, count: dimension)
    try Self.prepare(vector, metric: metric, into: &buffer)
    components = buffer
  }

  /// Checks a vector of the right length and leaves it prepared in `buffer`, of the same length.
  static func prepare<Scalar: VectorScalar>(
    _ vector: Span<Scalar>, metric: Metric, into buffer: inout [Float]
  ) throws(VectorIndexError) {
    for index in vector.indices { buffer[index] = vector[index].floatValue }
    let status = buffer.withUnsafeMutableBufferPointer {
      cvx_check($0.baseAddress!, $0.count, Int32(metric.rawValue), $0.baseAddress!)
    }
    try throwIfBad(status, vector)
  }

  /// Turns what `cvx_check` said into an error.
  static func throwIfBad<Scalar: VectorScalar>(_ status: Int32, _ vector: Span<Scalar>)
    throws(VectorIndexError)
  {
    switch Int(status) {
    case CVX_GOOD: return
    case CVX_TOO_LARGE: throw .magnitudeTooLarge
    case CVX_ZERO: throw .zeroVector
    default:
      let position = vector.indices.first { !vector[$0].floatValue.isFinite }
      throw .componentNotFinite(position: position ?? 0)
    }
  }
}
