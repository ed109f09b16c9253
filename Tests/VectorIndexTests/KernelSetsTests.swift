import Base
import CVector
import Testing

// Contract: the sums of 8-bit codes are exact integers in every instruction set, and the sums by
// all bits are within 1e-5 of a Float64 reference, at every dimension 1…1,024 and some to 4,096;
// the rotation keeps lengths, and its inverse undoes it. In every set a list of candidates takes in
// measured rows as a sort would, of a list of edges those come back, once, that were not seen, and of
// a mask every row once; vectors are checked and encoded to the same bits.

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
          sums = [Int32](repeating: 0, count: 8)
          cvx_scan_sums(level, codes, stride, UInt32(count), query, &sums)
          #expect(Array(sums.prefix(count)) == Array(expected.prefix(count)), "\(dimension)")
        }
      }
    }
  }

  /// A distance above a slot, ordered as the distances are.
  private static func key(_ distance: Float, _ slot: UInt32) -> UInt64 {
    let bits = distance.bitPattern
    let ordered = bits >> 31 == 1 ? ~bits : bits | 0x8000_0000
    return UInt64(ordered & ~1) << 32 | UInt64(slot) << 1
  }

  @Test func candidatesAsSorted() {
    let random = SeededRandom(seed: 24)
    for ef in Array(1...70) + [127, 128, 200, 511, 512, 513, 600] {
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        var (list, held) = ([UInt64](repeating: 7, count: (ef + 7) / 8 * 8), UInt32(0))
        var expected: [UInt64] = []
        for group in 0..<30 {
          let count = Int(random.next(below: 65))
          // Some beyond 2^31.
          let slots = (0..<count).map { UInt32(group * 64 + $0) &* 1_999_999_973 }
          // Of few values, so that some are equal; half are below 0.
          let distances = slots.map { _ in Float(Int(random.next(below: 400)) - 200) / 8 }
          let keys = zip(distances, slots).map { Self.key($0, $1) }
          let before = Set(expected)
          expected = Array((expected + keys).sorted().prefix(ef))
          let lowest = cvx_offer_rows(
            level, &list, &held, UInt32(ef), slots, distances, UInt32(count), nil, nil)
          #expect(Array(list.prefix(Int(held))) == expected, "ef \(ef), level \(level)")
          let taken = expected.firstIndex { !before.contains($0) }
          #expect(Int(lowest) >= taken ?? Int(held), "ef \(ef), level \(level)")
          if let taken { #expect(Int(lowest) == taken, "ef \(ef), level \(level)") }
          // As a walk marks those whose edges it followed.
          for at in expected.indices where random.next(below: 3) == 0 {
            expected[at] |= 1
            list[at] |= 1
          }
        }
      }
    }
  }

  /// A list without room, for which nothing came: there is no last candidate to compare with.
  @Test func nothingIsOfferedToNoList() {
    for level in Int32(CVECTOR_BASELINE)...cvector_level() {
      var held: UInt32 = 0
      #expect(cvx_offer_rows(level, nil, &held, 0, [], [], 0, nil, nil) == .max)
      #expect(held == 0)
    }
  }

  @Test func removedRowsGoAside() {
    let random = SeededRandom(seed: 30)
    for ef in Array(1...20) + [63, 64, 65, 128, 513] {
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        var (list, held) = ([UInt64](repeating: 7, count: (ef + 7) / 8 * 8), UInt32(0))
        var live = (0..<100).map { _ in random.next() }
        var (aside, kept, removed) = (cvx_aside(), [UInt64](), [UInt64]())
        for group in 0..<30 {
          let slots = (0..<random.next(below: 65)).map { UInt32(group * 64) + UInt32($0) }
          let distances = slots.map { _ in Float(Int(random.next(below: 400)) - 200) / 8 }
          let keys = zip(distances, slots).map { Self.key($0, $1) }
          func isLive(_ key: UInt64) -> Bool {
            let slot = Int(UInt32(truncatingIfNeeded: key >> 1))
            return live[slot / 64] >> UInt64(slot % 64) & 1 == 1
          }
          // A removed row counts if it would have been taken when it came.
          for key in keys where kept.count < ef || key < kept[ef - 1] {
            if isLive(key) {
              kept = Array((kept + [key]).sorted().prefix(ef))
            } else {
              removed = Array((removed + [key]).sorted().prefix(Int(CVX_ASIDE_MAX)))
            }
          }
          cvx_offer_rows(
            level, &list, &held, UInt32(ef), slots, distances, UInt32(slots.count), &live, &aside)
          #expect(Array(list.prefix(Int(held))) == kept, "ef \(ef), level \(level)")
          let found = withUnsafeBytes(of: aside.keys) {
            Array($0.bindMemory(to: UInt64.self).prefix(Int(aside.count)))
          }
          #expect(found == removed, "ef \(ef), level \(level)")
        }
      }
    }
  }

  @Test func unseenSlotsOnce() {
    let random = SeededRandom(seed: 25)
    for degree in [1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 255, 256] {
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        let count: UInt32 = 500
        var visited = [UInt64](repeating: 0, count: 8)
        var seen = Set<UInt32>()
        for _ in 0..<20 {
          // Some beyond the end, as in a damaged file, some twice, and some that are no edges.
          let edges = (0..<degree).map { _ in
            random.next(below: 9) == 0 ? UInt32.max : UInt32(random.next(below: 520))
          }
          var fresh = [UInt32](repeating: 0, count: 257)
          let found = cvx_unseen_slots(level, &visited, edges, UInt32(degree), count, &fresh)
          var expected: [UInt32] = []
          for slot in edges where slot < count && seen.insert(slot).inserted {
            expected.append(slot)
          }
          #expect(Array(fresh.prefix(Int(found))) == expected, "\(degree) at \(level)")
        }
      }
    }
  }

  @Test func sumsOfManyRowsInAScan() {
    let random = SeededRandom(seed: 27)
    for dimension in [64, 100, 384, 513] {
      let stride = cvx_stride(dimension)
      let codes = (0..<stride * 64).map { _ in UInt8(random.next(below: 256)) }
      let query = (0..<stride).map { _ in Int8(Int(random.next(below: 255)) - 127) }
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        for count in 0...64 {
          var (sums, scanned) = ([Int32](repeating: 0, count: 64), [Int32](repeating: 0, count: 64))
          cvx_code_sums(level, codes, stride, UInt32(count), query, &sums)
          cvx_scan_sums(level, codes, stride, UInt32(count), query, &scanned)
          #expect(scanned == sums, "\(count) rows of \(dimension) at \(level)")
        }
      }
    }
  }

  @Test func bitsAreListedOnce() {
    let random = SeededRandom(seed: 28)
    for share in [0, 1, 10, 100, 500, 900, 1_000] as [UInt64] {
      for count in [1, 63, 64, 65, 511, 512, 513, 3_000, 10_000] as [UInt32] {
        // Some are set beyond the end.
        var bits = (0..<count / 64 + 1).map { _ in
          (0..<64).reduce(UInt64(0)) { $0 | (random.next(below: 1_000) < share ? 1 << $1 : 0) }
        }
        let expected = (0..<count).filter { bits[Int($0 / 64)] >> UInt64($0 % 64) & 1 == 1 }
        for level in Int32(CVECTOR_BASELINE)...cvector_level() {
          var (listed, word) = ([UInt32](), UInt32(0))
          while word * 64 < count {
            var slots = [UInt32](repeating: 0, count: 2_056)
            let found = cvx_list_bits(level, &bits, count, &word, &slots)
            listed += slots.prefix(Int(found))
          }
          #expect(zip(listed, listed.dropFirst()).allSatisfy { $0 / 512 <= $1 / 512 })
          #expect(listed.sorted() == expected, "\(share) of 1000 of \(count) at \(level)")
        }
      }
    }
  }

  @Test func codesAreTheSameAtEveryLevel() {
    let random = SeededRandom(seed: 29)
    for (dimension, metric) in Self.dimensions.flatMap({ d in (0..<3).map { (d, Int32($0)) } }) {
      let row = Self.vector(dimension, random)
      let mean = Self.vector(dimension, random).map { $0 / 8 }
      func bits(_ level: Int32) -> [UInt32] {
        let stride = cvx_stride(dimension)
        var (checked, codes) = (row, [UInt8](repeating: 1, count: stride))
        var residuals = [Int8](repeating: 1, count: stride)
        var queryCodes = residuals
        #expect(cvx_check_at(level, row, dimension, metric, &checked) == Int32(CVX_GOOD))
        let factor = cvx_encode_at(
          level, checked, mean, dimension, metric, &codes, &residuals)
        var centred = checked
        let coded = cvx_encode_query(level, &centred, mean, dimension, &queryCodes)
        // The query's codes in sum and in squares, which scale its distances.
        let used = queryCodes.prefix(dimension).map(Int32.init)
        #expect(coded.sum == used.reduce(0, +), "\(dimension)")
        #expect(coded.squares == used.reduce(0) { $0 + $1 * $1 }, "\(dimension)")
        let scales = [factor.scale, factor.bias, coded.scale] + checked + centred
        return scales.map(\.bitPattern) + codes.map(UInt32.init)
          + (residuals + queryCodes).map { UInt32(truncatingIfNeeded: $0) }
      }
      let first = bits(Int32(CVECTOR_BASELINE))
      for level in Int32(CVECTOR_BASELINE)...cvector_level() {
        #expect(bits(level) == first, "\(dimension) at \(level)")
      }
    }
  }
}
