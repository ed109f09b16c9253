import Base
import CVector
import Testing

// Contract: of more candidates than are compared at once, a new row gets the edges that the rule
// gives by its definition: nearest first, each to which no edge so far leads better than the row
// itself, and where there is room, the nearest of those that were passed over.

@Suite struct EdgeChoiceTests {
  private static let dimension = 32
  private static let rows = 1000
  private static let degree = 64
  private static let candidates = 900
  private static let seeds: [UInt64] = [41, 43, 44, 45]

  /// The arrays of an index whose first row is in the graph, and whose others have codes only.
  private final class Rows {
    private let stride = cvx_stride(EdgeChoiceTests.dimension)
    private let mean = UnsafeMutablePointer<Float>.allocate(capacity: EdgeChoiceTests.dimension)
    private let codes: UnsafeMutableRawPointer
    private let factors = UnsafeMutablePointer<cvx_factor>.allocate(capacity: EdgeChoiceTests.rows)
    private let edges = UnsafeMutablePointer<UInt32>.allocate(
      capacity: EdgeChoiceTests.rows * EdgeChoiceTests.degree)
    private let levels = UnsafeMutablePointer<UInt8>.allocate(capacity: EdgeChoiceTests.rows)
    private let live = UnsafeMutablePointer<UInt64>.allocate(
      capacity: EdgeChoiceTests.rows / 64 + 1)
    var view = cvx_view()

    init(_ random: SeededRandom) {
      let (dimension, rows) = (EdgeChoiceTests.dimension, EdgeChoiceTests.rows)
      codes = .allocate(byteCount: rows * stride, alignment: 64)
      mean.initialize(repeating: 0, count: dimension)
      edges.initialize(repeating: .max, count: rows * EdgeChoiceTests.degree)
      levels.initialize(repeating: 0, count: rows)
      live.initialize(repeating: 0, count: rows / 64 + 1)
      (view.dimension, view.stride) = (UInt32(dimension), UInt32(stride))
      view.metric = UInt32(CVX_L2)
      (view.degree, view.upper_degree) = (UInt32(EdgeChoiceTests.degree), 16)
      view.ef_construction = UInt32(EdgeChoiceTests.candidates)
      view.codes = codes.bindMemory(to: UInt8.self, capacity: rows * stride)
      (view.factors, view.edges, view.levels) = (factors, edges, levels)
      (view.live, view.mean) = (live, mean)
      for slot in 0..<rows {
        var row = KernelSetsTests.vector(dimension, random)
        factors[slot] = cvx_encode(
          &row, mean, dimension, Int32(CVX_L2), view.codes + slot * stride, nil)
      }
      cvx_set_head(&view, 1, 0)
      cvx_set_live(&view, 0, 1)
    }

    deinit {
      codes.deallocate()
      mean.deallocate()
      factors.deallocate()
      edges.deallocate()
      levels.deallocate()
      live.deallocate()
    }

    /// What the codes of a row stand for.
    func row(_ slot: UInt32) -> [Float] {
      var row = [Float](repeating: 0, count: EdgeChoiceTests.dimension)
      cvx_decode(
        view.codes + Int(slot) * stride, nil, factors[Int(slot)].scale, mean, row.count, &row)
      return row
    }
  }

  private static func apart(_ a: [Float], _ b: [Float]) -> Double {
    zip(a, b).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
  }

  /// The edges of slot 1, and the rank of the last candidate that leads in a direction of its own.
  private static func byDefinition(_ rows: [[Float]]) -> (edges: [UInt32], lastRank: Int) {
    let far = rows.map { apart($0, rows[1]) }
    let nearest = rows.indices.filter { $0 != 1 }.sorted { far[$0] < far[$1] }.prefix(candidates)
    var (chosen, passed, lastRank) = ([Int](), [Int](), 0)
    for (rank, slot) in nearest.enumerated() where chosen.count < degree {
      if chosen.contains(where: { apart(rows[$0], rows[slot]) < far[slot] }) {
        passed.append(slot)
      } else {
        chosen.append(slot)
        lastRank = rank
      }
    }
    return ((chosen + passed).prefix(degree).map { UInt32($0) }, lastRank)
  }

  @Test(arguments: seeds) func edgesAreThoseOfTheDefinition(seed: UInt64) {
    print("EdgeChoiceTests: seed \(seed)")
    let rows = Rows(SeededRandom(seed: seed))
    let scratch = cvx_scratch_create(UInt32(Self.dimension))!
    defer { cvx_scratch_destroy(scratch) }
    let peers = (2..<UInt32(Self.rows)).map { $0 }
    var out = [UInt32](repeating: 0, count: Self.degree)
    peers.withUnsafeBufferPointer { peers in
      let group = cvx_peers(slots: peers.baseAddress!, count: UInt32(peers.count))
      cvx_plan(&rows.view, scratch, 1, 0, 1, group, &out)
    }
    let expected = Self.byDefinition((0..<UInt32(Self.rows)).map(rows.row))
    #expect(expected.lastRank >= 64, "no candidate of the second group is chosen")
    #expect(out == expected.edges)
  }
}
