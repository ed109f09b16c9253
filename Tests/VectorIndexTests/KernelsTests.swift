import Base
import CVector
import Testing
import VectorIndex

// Contract: every kernel of every instruction set that this processor has, and the portable one,
// is within 1e-5 of Σ|aᵢbᵢ| (or of the sum of squares) of a Float64 reference, at every dimension
// 1…1,024, some to 4,096, and at odd alignments; and reads nothing beyond its operands.

@Suite struct KernelsTests {
  typealias Kernel = (UnsafePointer<Float>, UnsafePointer<Float>, Int) -> Float

  static let levels = Array(CVECTOR_BASELINE...Int(cvector_level()))

  static func dots() -> [(String, Kernel)] {
    levels.map { level in ("dot at \(level)", { cvector_dot_f32_at(Int32(level), $0, $1, $2) }) }
      + [("dot", { cvector_dot_f32($0, $1, $2) }), ("portable dot", PortableKernels.dot)]
  }

  static func squares() -> [(String, Kernel)] {
    levels.map { level in ("l2 at \(level)", { cvector_l2_f32_at(Int32(level), $0, $1, $2) }) }
      + [("l2", { cvector_l2_f32($0, $1, $2) }), ("portable l2", PortableKernels.l2)]
  }

  @Test func everyDimensionWithinBounds() {
    let random = SeededRandom(seed: 5)
    // Floats outside the operands are NaN: one that is read shows in the result.
    let a = guarded(random), b = guarded(random)
    for count in Array(1...1_024) + [1_536, 2_000, 3_072, 4_095, 4_096] {
      let shift = count % 5
      var dot = 0.0, magnitude = 0.0, l2 = 0.0
      for index in 0..<count {
        let x = Double(a[1 + index]), y = Double(b[1 + shift + index])
        dot += x * y
        magnitude += abs(x * y)
        l2 += (x - y) * (x - y)
      }
      with(a, 1, count) { first in
        with(b, 1 + shift, count) { second in
          for (name, kernel) in Self.dots() {
            let got = Double(kernel(first, second, count))
            #expect(abs(got - dot) <= 1e-5 * magnitude, "\(name), \(count)")
          }
          for (name, kernel) in Self.squares() {
            let got = Double(kernel(first, second, count))
            #expect(abs(got - l2) <= 1e-5 * l2, "\(name), \(count)")
          }
        }
      }
    }
  }

  private func guarded(_ random: SeededRandom) -> [Float] {
    (0..<4_200).map { _ in Float(random.unit() * 2 - 1) }
  }

  /// Copies the operand between NaNs, at an address that is 4 beyond a multiple of 64.
  private func with(
    _ source: [Float], _ offset: Int, _ count: Int, _ body: (UnsafePointer<Float>) -> Void
  ) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: (count + 33) * 4, alignment: 64)
    defer { memory.deallocate() }
    let floats = memory.bindMemory(to: Float.self, capacity: count + 33)
    floats.initialize(repeating: .nan, count: count + 33)
    for index in 0..<count { floats[1 + index] = source[offset + index] }
    body(floats + 1)
  }

  @Test func checksumIsCRC32C() {
    // The check value of the CRC catalogue for "123456789".
    let bytes = Array("123456789".utf8)
    #expect(cvector_crc32c(0, bytes, 9) == 0xE306_9283)
    #expect(cvector_crc32c_portable(0, bytes, 9) == 0xE306_9283)
    let long = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
    for length in 0...300 {
      #expect(cvector_crc32c(1, long, length) == cvector_crc32c_portable(1, long, length))
    }
  }
}
