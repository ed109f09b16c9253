// Contract: distances by the upper halves of codes are those of the rows that the halves stand for,
// the same bits in every instruction set; an index keeps the halves of the codes it has, whatever
// happens to its rows; and walks go by them only where they find what walks by codes find.

import Base
import CVector
import TestSupport
import Testing
import VectorIndex

@Suite struct NibbleTests {
  // MARK: Kernels

  /// Rows and a query as the kernels take them.
  private final class Rows {
    static let count = 9
    let dimension: Int
    let stride: Int
    var codes: [UInt8]
    var factors: [cvx_factor]
    var nibbles: [UInt8]
    var nibbleFactors: [cvx_factor]
    /// Zeros behind the last component.
    var query: [Int8]
    let metric: UInt32

    init(_ dimension: Int, metric: UInt32, _ random: SeededRandom) {
      self.dimension = dimension
      self.metric = metric
      stride = cvx_stride(dimension)
      let (stride, count) = (stride, Self.count)
      // Extremes included; what is behind the last component is 0.
      codes = (0..<stride * count).map { at in
        at % stride < dimension ? (at % 7 == 0 ? 255 : UInt8(1 + random.next(below: 255))) : 128
      }
      factors = (0..<count).map { _ in
        cvx_factor(scale: Float(0.001 + random.unit() / 100), bias: Float(random.unit()))
      }
      let room = Int(cvx_nibble_stride(UInt32(stride)))
      nibbles = [UInt8](repeating: 0xFF, count: room * count)
      nibbleFactors = [cvx_factor](repeating: cvx_factor(), count: count)
      query = (0..<stride).map { at in
        at >= dimension ? 0 : at % 3 == 0 ? Int8.max : Int8(Int(random.next(below: 255)) - 127)
      }
    }

    static let queryScale: Float = 0.01

    /// The distance of the row that the nibbles stand for, in Float64, and what its error goes by.
    func expected(_ row: Int) -> (distance: Double, magnitude: Double) {
      let scale = Double(Self.queryScale)
      var (product, squares, lost) = (0.0, 0.0, 0.0)
      for at in 0..<dimension {
        let code = Int(codes[row * stride + at])
        let short = Double(16 * (code / 16)) + 7.5 - 128
        let difference = Double(code - 128) - short
        product += short * Double(query[at])
        squares += short * short - difference * difference - Double((code - 128) * (code - 128))
        lost += abs(short * Double(query[at]))
      }
      let factor = factors[row], step = Double(factor.scale)
      let bias = metric == UInt32(CVX_INNER_PRODUCT) ? 0 : squares * step * step
      return (Double(factor.bias) + bias - step * scale * product + 1, step * scale * lost + 1)
    }

    func withView<Result>(_ body: (UnsafePointer<cvx_view>, inout cvx_query) -> Result) -> Result {
      var view = cvx_view()
      view.dimension = UInt32(dimension)
      view.stride = UInt32(stride)
      view.metric = metric
      view.nibble_stride = cvx_nibble_stride(UInt32(stride))
      let sum = query.reduce(Int32(0)) { $0 + Int32($1) }
      return codes.withUnsafeMutableBufferPointer { codes in
        factors.withUnsafeMutableBufferPointer { factors in
          nibbles.withUnsafeMutableBufferPointer { nibbles in
            nibbleFactors.withUnsafeMutableBufferPointer { nibbleFactors in
              view.codes = codes.baseAddress
              view.factors = factors.baseAddress
              view.nibbles = nibbles.baseAddress
              view.nibble_factors = nibbleFactors.baseAddress
              return withUnsafePointer(to: view) { view in
                // Aligned, as the memory of a search is.
                let room = UnsafeMutablePointer<Int8>.allocate(capacity: query.count + 64)
                defer { room.deallocate() }
                let start = UnsafeMutablePointer<Int8>(
                  bitPattern: (Int(bitPattern: room) + 63) / 64 * 64)!
                start.update(from: query, count: query.count)
                var query = cvx_query()
                query.codes = UnsafePointer(start)
                query.scale = Self.queryScale
                query.offset = 128 * sum
                query.constant = 1
                return body(view, &query)
              }
            }
          }
        }
      }
    }
  }

  @Test(arguments: [UInt32(CVX_L2), UInt32(CVX_INNER_PRODUCT)])
  func distancesAreThoseOfTheShortRows(metric: UInt32) {
    let random = SeededRandom(seed: 401)
    for dimension in Array(1...260) + [383, 384, 385, 768, 1_000, 1_024, 1_536, 4_095, 4_096] {
      let rows = Rows(dimension, metric: metric, random)
      let slots = Array((0..<UInt32(Rows.count)).reversed())
      let expected = slots.map { rows.expected(Int($0)) }
      rows.withView { view, query in
        for slot in 0..<UInt32(Rows.count) { cvx_shorten(view, slot) }
        func distances(_ level: Int32, _ count: Int) -> [UInt32] {
          var out = [Float](repeating: -7, count: Rows.count + 4)
          cvx_nibble_rows(level, view, &query, slots, UInt32(count), &out)
          return out.prefix(count).map(\.bitPattern)
        }
        let first = distances(Int32(CVECTOR_BASELINE), Rows.count)
        for (place, bits) in first.enumerated() {
          let error = abs(Double(Float(bitPattern: bits)) - expected[place].distance)
          #expect(error <= 1e-5 * expected[place].magnitude, "\(dimension), row \(slots[place])")
        }
        for level in Int32(CVECTOR_BASELINE)...cvector_level() {
          for count in 0...Rows.count {
            let found = distances(level, count)
            #expect(found == Array(first.prefix(count)), "\(dimension) at \(level)")
          }
        }
      }
    }
  }

  // MARK: In an index

  #if DEBUG
    /// Too few for nibbles to be used: what is kept is the same.
    static let rows = 600
  #else
    static let rows = 5_000
  #endif
  static let dimension = 1_000

  private static func built(
    _ rows: [[Float]], _ metric: Metric = .l2, threads: Int = 2
  ) throws -> VectorIndex {
    let index = try VectorIndex(options: .init(dimension: dimension, metric: metric, m: 8))
    let ids = Array(0..<UInt64(rows.count))
    let flat = rows.flatMap { $0 }
    try index.add(rows: flat.span, ids: ids.span, threads: threads)
    return index
  }

  /// Clouds as wide as apart: neighbours are told apart by few bits.
  private static func wide(
    _ count: Int, seed: UInt64, dimension: Int = NibbleTests.dimension
  ) -> [[Float]] {
    let centres = VectorSets.uniform(100, 20, seed: 402)
    let lift = VectorSets.uniform(20, dimension, seed: 403)
    let noise = VectorSets.uniform(count, 20, seed: seed)
    return noise.enumerated().map { index, own in
      var row = [Float](repeating: 0, count: dimension)
      for (part, direction) in lift.enumerated() {
        let length = centres[index % 100][part] + 0.6 * own[part]
        for at in 0..<dimension { row[at] += length * direction[at] }
      }
      return row
    }
  }

  /// Clouds a thirtieth as wide as apart, in all dimensions.
  private static func tight(_ count: Int, clouds: Int, seed: UInt64) -> [[Float]] {
    let centres = VectorSets.uniform(clouds, dimension, seed: 404)
    return VectorSets.uniform(count, dimension, seed: seed).enumerated().map { index, own in
      zip(centres[index % clouds], own).map { $0 + 0.03 * $1 }
    }
  }

  private static func recall(_ index: VectorIndex, _ queries: [[Float]]) throws -> Double {
    var sum = 0.0
    for query in queries {
      let truth = try index.exactSearch(query, k: 10)
      sum += VectorSets.recall(try index.search(query, k: 10, ef: 32), truth: truth)
    }
    return sum / Double(queries.count)
  }

  @Test(arguments: [Metric.l2, .cosine, .innerProduct])
  func walksByNibblesFindWhatWalksByCodesFind(_ metric: Metric) throws {
    let index = try Self.built(Self.wide(Self.rows, seed: 405), metric)
    #if !DEBUG
      #expect(index.walksByNibbles)
    #endif
    try Self.expectAsGood(index, Self.wide(60, seed: 406))
  }

  private static func expectAsGood(_ index: VectorIndex, _ queries: [[Float]]) throws {
    index.walksByNibbles = true
    let byNibbles = try recall(index, queries)
    index.walksByNibbles = false
    let byCodes = try recall(index, queries)
    #expect(byNibbles >= byCodes - 0.01, "\(byNibbles), by codes \(byCodes)")
    #expect(byCodes > 0.9)
  }

  #if !DEBUG
    /// So many that searches beside removed rows walk rather than look at every one.
    @Test func walksPastRemovedRowsFindThemToo() throws {
      let rows = Self.wide(10_000, seed: 415, dimension: 256)
      let index = try VectorIndex(options: .init(dimension: 256, metric: .l2, m: 8))
      let (flat, ids) = (rows.flatMap { $0 }, Array(0..<UInt64(rows.count)))
      try index.add(rows: flat.span, ids: ids.span, threads: 2)
      for id in stride(from: 0, to: rows.count, by: 10) { index.remove(id: UInt64(id)) }
      #expect(index.tombstoneCount > 0, "removed rows are still walked through")
      try Self.expectAsGood(index, Self.wide(60, seed: 416, dimension: 256))
    }

    /// Wherever in the growth of an index it is saved: near the size from which nibbles are used.
    @Test func aLoadedIndexGoesOnAsTheSavedOne() throws {
      let directory = TemporaryDirectory("nibbles")
      let rows = Self.wide(4_400, seed: 417)
      let index = try Self.built(Array(rows.prefix(4_150)))
      try index.save(to: directory.file("a"))
      let loaded = try VectorIndex.load(from: directory.file("a"))
      for one in [index, loaded] {
        #expect(one.walksByNibbles)
        for id in 4_150..<4_400 { try one.add(rows[id], id: UInt64(id)) }
      }
      try index.save(to: directory.file("b"))
      try loaded.save(to: directory.file("c"))
      #expect(directory.bytes("b") == directory.bytes("c"))
    }
  #endif

  @Test func threadsChangeNothing() throws {
    let directory = TemporaryDirectory("nibbles")
    let rows = Self.wide(Self.rows, seed: 414)
    for threads in [1, 2, 3] {
      try Self.built(rows, .cosine, threads: threads).save(to: directory.file("\(threads)"))
    }
    #expect(directory.bytes("1") == directory.bytes("2"))
    #expect(directory.bytes("1") == directory.bytes("3"))
  }

  #if !DEBUG
    @Test func rowsThatNibblesDoNotTellApartAreWalkedByCodes() throws {
      let index = try Self.built(Self.tight(Self.rows, clouds: 20, seed: 407))
      #expect(!index.walksByNibbles)
      // Rows that are told apart, then others that are not.
      let other = try Self.built(Self.wide(Self.rows, seed: 408))
      #expect(other.walksByNibbles)
      let more = Self.tight(Self.rows, clouds: 20, seed: 409).flatMap { $0 }
      let ids = Array(UInt64(Self.rows)..<UInt64(2 * Self.rows))
      try other.add(rows: more.span, ids: ids.span)
      #expect(!other.walksByNibbles)
    }

    /// A cloud in a set that is walked by nibbles: queries in there are walked by codes.
    @Test func aQueryAmongRowsThatLieTogetherIsWalkedByCodes() throws {
      let index = try Self.built(
        Self.wide(Self.rows, seed: 410) + Self.tight(Self.rows / 10, clouds: 1, seed: 411))
      let queries = Self.tight(60, clouds: 1, seed: 412)
      index.walksByNibbles = false
      let byCodes = try Self.recall(index, queries)
      index.walksByNibbles = true
      #expect(try Self.recall(index, queries) >= byCodes - 0.005)
      #expect(byCodes > 0.8)
    }
  #endif

  @Test func nibblesAreThoseOfTheCodes() throws {
    let rows = Self.wide(Self.rows, seed: 413)
    let index = try Self.built(Array(rows.prefix(Self.rows / 2)))
    #expect(index.brokenInvariant() == nil)
    for id in 0..<UInt64(Self.rows / 10) { index.remove(id: id) }
    for (id, row) in rows.enumerated().dropFirst(Self.rows / 2) {
      try index.add(row, id: UInt64(id))
    }
    #expect(index.brokenInvariant() == nil)
    index.compact()
    #expect(index.brokenInvariant() == nil)
    let directory = TemporaryDirectory("nibbles")
    try index.save(to: directory.file("a"))
    #if !DEBUG
      #expect(index.walksByNibbles)
    #endif
    let loaded = try VectorIndex.load(from: directory.file("a"))
    #expect(loaded.brokenInvariant() == nil)
    #expect(loaded.walksByNibbles == index.walksByNibbles)
    // No file holds them: a mapped index goes by its codes, until it is loaded to be changed.
    let mapped = try VectorIndex.open(mapping: directory.file("a"))
    #expect(!mapped.walksByNibbles)
    try mapped.add(rows[0], id: 1 << 40)
    #expect(mapped.brokenInvariant() == nil)
    #expect(mapped.walksByNibbles == index.walksByNibbles)
  }
}
