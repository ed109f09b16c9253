import CVector

/// The portable version of each kernel: what the C kernels are tested against. Sixteen partial
/// sums, as in the C baseline, keep the error of long vectors small.
package enum PortableKernels {
  package static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int)
    -> Float
  {
    sum(count) { a[$0] * b[$0] }
  }

  package static func l2(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int)
    -> Float
  {
    sum(count) {
      let difference = a[$0] - b[$0]
      return difference * difference
    }
  }

  @inline(__always)
  private static func sum(_ count: Int, _ term: (Int) -> Float) -> Float {
    var sums = SIMD16<Float>()
    for index in 0..<count { sums[index & 15] += term(index) }
    return sums.sum()
  }
}

extension Metric {
  /// The distance of two prepared vectors (`PreparedVector`).
  @inline(__always)
  func distance(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
    switch self {
    case .cosine, .innerProduct: 1 - cvector_dot_f32(a, b, count)
    case .l2: cvector_l2_f32(a, b, count)
    }
  }
}
