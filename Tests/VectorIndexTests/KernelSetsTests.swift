import Base
import CVector
import Testing

// Contract: the sums of 8-bit codes are exact integers in every instruction set, and the sums by
// all bits are within 1e-5 of a Float64 reference, at every dimension 1…1,024 and some to 4,096;
// the rotation keeps lengths, and its inverse undoes it.

@Suite struct KernelSetsTests {
  static let dimensions = Array(1...1_024) + [1_536, 2_000, 3_072, 4_095, 4_096]

  static func vector(_ count: Int, _ random: SeededRandom) -> [Float] {
    (0..<count).map { _ in Float(random.unit() * 2 - 1) }
  }

  @Test func rotationKeepsLengthsAndComesBack() {
    let random = SeededRandom(seed: 21)
    for dimension in Self.dimensions {
      let original = Self.vector(dimension, random)
      var turned = original
      cvx_rotate(&turned, dimension)
      let before = original.reduce(0.0) { $0 + Double($1) * Double($1) }
      let after = turned.reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(abs(after - before) <= 1e-5 * before, "\(dimension)")
      cvx_rotate_back(&turned, dimension)
      #expect(zip(turned, original).allSatisfy { abs($0 - $1) < 1e-5 }, "\(dimension)")
    }
  }

  @Test func sumsByAllBits() {
    let random = SeededRandom(seed: 22)
    for dimension in Self.dimensions {
      let stride = cvx_stride(dimension)
      var row = Self.vector(dimension, random)
      let query = Self.vector(dimension, random)
      let mean = [Float](repeating: 0, count: dimension)
      var codes = [UInt8](repeating: 0, count: stride)
      var residuals = [Int8](repeating: 0, count: stride)
      let factor = cvx_encode(&row, mean, dimension, Int32(CVX_L2), &codes, &residuals)
      var decoded = [Float](repeating: 0, count: dimension)
      cvx_decode(codes, residuals, factor.scale, mean, dimension, &decoded)
      #expect(zip(decoded, row).allSatisfy { abs($0 - $1) < 2e-5 }, "\(dimension)")
      var (dot, magnitude, squares) = (0.0, 0.0, 0.0)
      for (a, b) in zip(decoded, query) {
        dot += Double(a) * Double(b)
        magnitude += abs(Double(a) * Double(b))
        squares += (Double(a) - Double(b)) * (Double(a) - Double(b))
      }
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        let product = cvx_exact_sum(level, codes, residuals, factor.scale, query, dimension, 1)
        #expect(abs(Double(product) - dot) <= 1e-5 * magnitude, "\(dimension) at \(level)")
        let sum = cvx_exact_sum(level, codes, residuals, factor.scale, query, dimension, 0)
        #expect(abs(Double(sum) - squares) <= 1e-5 * squares, "\(dimension) at \(level)")
      }
    }
  }

  /// Graphs are made by these: the same bits on every processor.
  @Test func sumsByAllBitsAreTheSameAtEveryLevel() {
    let random = SeededRandom(seed: 26)
    for dimension in Self.dimensions {
      let stride = cvx_stride(dimension)
      var row = Self.vector(dimension, random)
      let other = Self.vector(dimension, random) + [Float](repeating: 0, count: stride - dimension)
      let mean = [Float](repeating: 0, count: dimension)
      var codes = [UInt8](repeating: 0, count: stride)
      var residuals = [Int8](repeating: 0, count: stride)
      let factor = cvx_encode(&row, mean, dimension, Int32(CVX_L2), &codes, &residuals)
      var decoded = [Float](repeating: 0, count: dimension)
      cvx_decode(codes, residuals, factor.scale, mean, dimension, &decoded)
      let pairs = zip(decoded, other).map { (Double($0), Double($1)) }
      let squares = pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let dot = pairs.reduce(0) { $0 + $1.0 * $1.1 }
      let magnitude = pairs.reduce(0) { $0 + abs($1.0 * $1.1) }
      func sums(_ level: Int32) -> [Float] {
        [0, 1].map { cvx_fine_sum(level, codes, residuals, factor.scale, other, stride, $0) }
      }
      let first = sums(Int32(CVECTOR_BASELINE))
      #expect(abs(Double(first[0]) - squares) <= 1e-5 * squares, "\(dimension)")
      #expect(abs(Double(first[1]) - dot) <= 1e-5 * magnitude, "\(dimension)")
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        #expect(sums(level) == first, "\(dimension) at \(level)")
      }
    }
  }

  @Test func sumsOfCodesAreExact() {
    let random = SeededRandom(seed: 23)
    for dimension in Self.dimensions {
      let stride = cvx_stride(dimension)
      // Extremes included, whose products overflow 16 bits in pairs.
      let codes = (0..<stride * 5).map { at in
        at % stride < dimension ? (at % 7 == 0 ? 255 : UInt8(random.next(below: 256))) : 128
      }
      let query = (0..<stride).map { at in
        at < dimension ? (at % 3 == 0 ? Int8.max : Int8(Int(random.next(below: 255)) - 127)) : 0
      }
      let expected = (0..<5).map { (row: Int) -> Int32 in
        var sum: Int32 = 0
        for at in 0..<stride { sum += Int32(codes[row * stride + at]) * Int32(query[at]) }
        return sum
      }
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        for count in 1...5 {
          var sums = [Int32](repeating: 0, count: 8)
          cvx_code_sums(level, codes, stride, UInt32(count), query, &sums)
          #expect(Array(sums.prefix(count)) == Array(expected.prefix(count)), "\(dimension)")
        }
      }
    }
  }
}
