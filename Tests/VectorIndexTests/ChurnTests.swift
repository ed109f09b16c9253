import Base
import Synchronization
import TestSupport
import Testing
import VectorIndex

// Contract: the number of threads changes no byte of the file; rows that come and go leave an index
// that answers like a fresh one, in no more slots; removed rows are never returned, not while
// others read; scalars of every kind are the same rows; rows that fill one page after the other are
// all found. Cannot disprove: speed.

@Suite struct ChurnTests {
  private let directory = TemporaryDirectory("vector")
  private static let dimension = 32

  private static func flat(_ rows: [[Float]]) -> [Float] { rows.flatMap { $0 } }

  /// In one call.
  private static func add(_ rows: [[Float]], _ ids: [Int], to index: VectorIndex) throws {
    let (components, wide) = (flat(rows), ids.map { UInt64($0) })
    try index.add(rows: components.span, ids: wide.span)
  }

  @Test(arguments: Metric.allCases) func threadsChangeNothing(_ metric: Metric) throws {
    let rows = Self.flat(VectorSets.clustered(VectorSets.rows, Self.dimension, seed: 31))
    let ids = (0..<UInt64(VectorSets.rows)).map { $0 * 3 }
    for threads in [1, 2, 3] {
      let index = try VectorIndex(options: .init(dimension: Self.dimension, metric: metric))
      try index.add(rows: rows.span, ids: ids.span, threads: threads)
      #expect(index.brokenInvariant() == nil)
      try index.save(to: directory.file("\(threads)"))
    }
    #expect(directory.bytes("1") == directory.bytes("2"))
    #expect(directory.bytes("1") == directory.bytes("3"))
  }

  @Test func fiveRoundsOfRemovalAndAddition() throws {
    let count = VectorSets.rows
    var rows = VectorSets.clustered(count, Self.dimension, seed: 32)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .l2))
    let random = SeededRandom(seed: 33)
    for round in 0..<5 {
      let others = VectorSets.clustered(count / 5, Self.dimension, seed: UInt64(40 + round))
      // Scattered rows, then a block of neighbours in number.
      let start = Int(random.next(below: UInt64(count)))
      let changed = (0..<count / 5).map { round % 2 == 0 ? $0 * 5 + round : (start + $0) % count }
      for id in changed { #expect(index.remove(id: UInt64(id))) }
      #expect(index.count == count - changed.count)
      for (place, id) in changed.enumerated() {
        rows[id] = others[place]
        try index.add(others[place], id: UInt64(id))
      }
      #expect(index.brokenInvariant() == nil)
    }
    #expect(index.count == count)
    #expect(index.tombstoneCount < count / 2)
    let exact = try ExactIndex(dimension: Self.dimension, metric: .l2)
    for (id, row) in rows.enumerated() { try exact.add(row, id: UInt64(id)) }
    let fresh = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .l2))
    var (recall, freshRecall) = (0.0, 0.0)
    for query in VectorSets.clustered(100, Self.dimension, seed: 50) {
      let truth = try exact.search(query, k: 10)
      recall += VectorSets.recall(try index.search(query, k: 10, ef: 32), truth: truth)
      freshRecall += VectorSets.recall(try fresh.search(query, k: 10, ef: 32), truth: truth)
    }
    #expect(recall >= freshRecall - 1.5, "\(recall) of 100, fresh \(freshRecall)")
  }

  /// Rows that come together take the slots of those that went before: the index is no larger than a
  /// fresh one, and searches pass no removed rows.
  @Test(arguments: [0.05, 0.2]) func manyRowsTakeTheSlotsOfRemovedOnes(_ share: Double) throws {
    let count = 4000
    let changed = Int(Double(count) * share)
    let rows = VectorSets.clustered(count, Self.dimension, seed: 38)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .l2))
    for round in 0..<4 {
      let ids = (0..<changed).map { ($0 * 7 + round) % count }
      for id in ids { #expect(index.remove(id: UInt64(id))) }
      let others = VectorSets.clustered(changed, Self.dimension, seed: UInt64(60 + round))
      try Self.add(others, ids, to: index)
      #expect(index.brokenInvariant() == nil)
      #expect(index.tombstoneCount == 0)
    }
    #expect(index.count == count)
  }

  private final class Writing: Sendable {
    let isOver = Atomic<Bool>(false)
  }

  /// Walks by 4 bits begin and end while rows come, as they do where the index finds that these do, or
  /// no longer.
  @Test func searchesGoOnWhileWalksChange() async throws {
    let rows = VectorSets.clustered(600, 256, seed: 39)
    let index = try VectorSets.index(
      Array(rows.prefix(300)), .init(dimension: 256, metric: .cosine, m: 8))
    index.walksByNibbles = true
    let writing = Writing()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { writing.isOver.store(true, ordering: .releasing) }
        for id in 300..<600 {
          try index.add(rows[id], id: UInt64(id))
          index.walksByNibbles = id % 7 != 0
        }
      }
      for reader in 0..<2 {
        group.addTask {
          for at in reader... {
            let found = try index.search(rows[at % 300], k: 10)
            #expect(found.count == 10 && Set(found.map(\.id)).count == 10)
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.distance <= $1.distance })
            if writing.isOver.load(ordering: .acquiring) { return }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(index.count == 600)
    #expect(index.brokenInvariant() == nil)
  }

  /// A removed row is walked through until it is swept. Where it led to a slot in use again, the row
  /// that came there could begin its walk at itself, got no edges, and became the start of an island
  /// that no search reached.
  @Test func removedRowsLeadToNoFreeSlot() throws {
    let count = 4000
    var rows = VectorSets.clustered(count, Self.dimension, seed: 36)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .l2))
    let random = SeededRandom(seed: 37)
    for round in 0..<4 {
      var gone: Set<Int> = []
      while gone.count < count / 5 {
        let id = Int(random.next(below: UInt64(count)))
        if gone.insert(id).inserted { index.remove(id: UInt64(id)) }
        if gone.count % 32 == 0 { #expect(index.brokenInvariant() == nil) }
      }
      let others = VectorSets.clustered(gone.count, Self.dimension, seed: UInt64(60 + round))
      let ids = gone.sorted()
      for (place, id) in ids.enumerated() { rows[id] = others[place] }
      try Self.add(others, ids, to: index)
      #expect(index.brokenInvariant() == nil)
    }
    var lost = 0
    for (id, row) in rows.enumerated() {
      if try index.search(row, k: 1, ef: 32).first?.id != UInt64(id) { lost += 1 }
    }
    #expect(lost <= count / 1000, "\(lost) rows do not find themselves")
  }

  @Test func scalarsOfEveryKind() throws {
    let bytes = (0..<40).map { row in (0..<8).map { UInt8((row * 31 + $0 * 17) % 251) } }
    let index = try VectorIndex(options: .init(dimension: 8, metric: .l2))
    for (id, row) in bytes.enumerated() { try index.add(row.span, id: UInt64(id)) }
    for (id, row) in bytes.enumerated() {
      let halves = row.map { Float16($0) }
      #expect(try index.search(row.span, k: 1).map(\.id) == [UInt64(id)])
      #expect(try index.search(halves.span, k: 1).map(\.id) == [UInt64(id)])
    }
    let signed: [Int8] = [-128, 127, 0, 1, 2, 3, 4, 5]
    try index.add(signed.span, id: 99)
    #expect(try index.search(signed.span, k: 1).map(\.id) == [99])
  }

  @Test func bitmapsAndPredicatesAgree() throws {
    let count = VectorSets.rows
    let rows = VectorSets.clustered(count, Self.dimension, seed: 34)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .cosine))
    for removed in stride(from: 0, to: count, by: 11) { index.remove(id: UInt64(removed)) }
    for keep in [1, 2, 3, 10, 100, count] {
      let ids = (0..<UInt64(count)).filter { $0 % UInt64(keep) == 0 }
      let bitmap = IDBitmap(ids, bound: count)
      let left = ids.count { $0 % 11 != 0 }
      for query in rows.prefix(10) {
        let first = try index.search(query, k: 20, filter: .allowing(bitmap))
        let second = try index.search(
          query, k: 20, filter: .matching { $0 % UInt64(keep) == 0 })
        #expect(first == second)
        #expect(first.count == min(20, left))
        #expect(first.allSatisfy { bitmap.contains($0.id) && $0.id % 11 != 0 })
      }
    }
  }

  @Test func batchesAnswerLikeSingleCalls() throws {
    let rows = VectorSets.clustered(500, Self.dimension, seed: 35)
    let index = try VectorSets.index(rows, .init(dimension: Self.dimension, metric: .cosine))
    let queries = Array(rows.prefix(33))
    let flat = Self.flat(queries)
    for threads in [1, 2] {
      var results = [Neighbour](repeating: Neighbour(id: 0, distance: 0), count: 33 * 5)
      var counts = [Int](repeating: 0, count: 33)
      var resultSpan = results.mutableSpan
      var countSpan = counts.mutableSpan
      try index.search(
        batch: flat.span, k: 5, threads: threads, into: &resultSpan, counts: &countSpan)
      for (number, query) in queries.enumerated() {
        let single = try index.search(query, k: 5)
        #expect(counts[number] == single.count)
        #expect(Array(results[number * 5..<number * 5 + single.count]) == single)
      }
    }
  }

  /// Their memory is made ahead by another thread, huge page by huge page.
  @Test func rowsAddedOneByOneAreFoundOverManyPages() throws {
    let rows = VectorSets.uniform(1_300, VectorIndex.dimensionRange.upperBound, seed: 38)
    let index = try VectorIndex(options: .init(dimension: rows[0].count, metric: .l2, m: 4))
    for (id, row) in rows.enumerated() { try index.add(row, id: UInt64(id)) }
    for id in stride(from: 0, to: rows.count, by: 13) {
      let found = try index.search(rows[id], k: 1, ef: rows.count)
      #expect(found.map(\.id) == [UInt64(id)])
      #expect(found[0].distance < 1e-3)
    }
    #expect(index.brokenInvariant() == nil)
  }
}
