import Base
import Foundation
import Synchronization
import Testing
import VectorIndex

// Contract: a query of a batch gets what a search of its own gets; where every row is looked at, for
// few rows or many candidates, what an exact search gets, bit for bit; with any number of queries,
// rows, answers and threads, with removed rows, and beside changes. A bad query is an error.
// Cannot disprove: that the cheaper of the two ways is taken.

@Suite struct BatchTests {
  private static let nothing = Neighbour(id: .max, distance: -1)

  private static func batch(
    _ index: VectorIndex, _ queries: [[Float]], k: Int, ef: Int = 64, threads: Int = 1
  ) throws -> [[Neighbour]] {
    var results = [Neighbour](repeating: nothing, count: queries.count * k)
    var counts = [Int](repeating: -1, count: queries.count)
    let flat = queries.flatMap { $0 }
    var resultSpan = results.mutableSpan
    var countSpan = counts.mutableSpan
    try index.search(
      batch: flat.span, k: k, ef: ef, threads: threads, into: &resultSpan, counts: &countSpan)
    for (query, count) in counts.enumerated() {
      // What lies behind the answers is left as it was.
      #expect(results[(query * k + count)..<(query + 1) * k].allSatisfy { $0 == nothing })
    }
    return counts.enumerated().map { Array(results[$0 * k..<$0 * k + $1]) }
  }

  @Test(arguments: Metric.allCases) func fewRowsAreAllLookedAt(_ metric: Metric) throws {
    let random = SeededRandom(seed: 71)
    for dimension in [3, 64, 100, 384, 700] {
      for rows in [1, 3, 4, 5, 63, 64, 66, 400] {
        let data = VectorSets.clustered(rows, dimension, seed: UInt64(rows))
        let index = try VectorSets.index(data, .init(dimension: dimension, metric: metric))
        for id in 0..<UInt64(rows) where random.next(below: 5) == 0 { index.remove(id: id) }
        let queries = VectorSets.clustered(65, dimension, seed: UInt64(rows))
        for (count, k) in [(16, 1), (32, 7), (65, 100)] {
          let asked = Array(queries.prefix(count))
          let found = try Self.batch(index, asked, k: k)
          for (query, answers) in zip(asked, found) where count > 16 || rows < 60 {
            #expect(
              answers == (try index.exactSearch(query, k: k)), "\(dimension) \(rows) \(count)")
          }
        }
      }
    }
  }

  /// Few candidates and short lists, so that walks are cheaper than looking at all rows.
  private static let sparse = VectorIndex.Options(
    dimension: 24, metric: .l2, m: 4, efConstruction: 24)

  @Test(arguments: [1, 2, 5]) func walksFindWhatSingleCallsFind(threads: Int) throws {
    let rows = VectorSets.clustered(3 * VectorSets.rows, 24, seed: 72)
    let index = try VectorIndex(options: Self.sparse)
    let ids = (0..<UInt64(rows.count)).map { $0 * 3 }
    let flat = rows.flatMap { $0 }
    try index.add(rows: flat.span, ids: ids.span)
    let queries = VectorSets.clustered(101, 24, seed: 72)
    for count in [1, 2, 3, 4, 31, 33, 101] {
      let asked = Array(queries.prefix(count))
      for (k, ef) in [(1, 1), (10, 10), (7, 16)] {
        let found = try Self.batch(index, asked, k: k, ef: ef, threads: threads)
        for (query, answers) in zip(asked, found) {
          #expect(answers == (try index.search(query, k: k, ef: ef)), "\(count) \(k) \(ef)")
        }
      }
    }
    // Removed rows: gone, and never fewer answers than there are rows.
    for id in ids where id % 2 == 0 { index.remove(id: id) }
    for answers in try Self.batch(index, queries, k: 10, ef: 10, threads: threads) {
      #expect(answers.count == 10)
      #expect(answers.allSatisfy { $0.id % 3 == 0 && $0.id % 2 == 1 })
      #expect(answers.map(\.distance) == answers.map(\.distance).sorted())
    }
    let all = try Self.batch(index, Array(queries.prefix(20)), k: rows.count, threads: threads)
    for (query, answers) in zip(queries, all) {
      #expect(answers == (try index.exactSearch(query, k: rows.count)))
    }
  }

  @Test func nothingToFindAndNothingToAsk() throws {
    let index = try VectorIndex(options: Self.sparse)
    let queries = VectorSets.uniform(40, 24, seed: 73)
    #expect(try Self.batch(index, queries, k: 3) == [[Neighbour]](repeating: [], count: 40))
    #expect(try Self.batch(index, [], k: 3).isEmpty)
    try index.add(queries[0], id: 9)
    #expect(try Self.batch(index, queries, k: 3).allSatisfy { $0.map(\.id) == [9] })
    index.remove(id: 9)
    #expect(try Self.batch(index, queries, k: 3).allSatisfy(\.isEmpty))
  }

  @Test func aBadQueryIsAnError() throws {
    let index = try VectorSets.index(
      VectorSets.uniform(100, 24, seed: 74), .init(dimension: 24, metric: .cosine))
    for (bad, error) in [
      (Float.nan, VectorIndexError.componentNotFinite(position: 0)), (0, .zeroVector),
    ] {
      var queries = VectorSets.uniform(50, 24, seed: 75)
      queries[40] = [bad] + [Float](repeating: 0, count: 23)
      #expect(throws: error) { try Self.batch(index, queries, k: 3) }
    }
  }

  @Test func besideChanges() throws {
    let rows = VectorSets.clustered(4_000, 24, seed: 76)
    let index = try VectorIndex(options: Self.sparse)
    let ids = (0..<UInt64(4_000)).map { $0 }
    let flat = rows.flatMap { $0 }
    try index.add(rows: flat.span, ids: ids.span)
    let queries = VectorSets.clustered(64, 24, seed: 76)
    let changes = Changes(index, rows)
    changes.start()
    for round in 0..<60 {
      for answers in try Self.batch(index, queries, k: 10, ef: round % 2 == 0 ? 10 : 300) {
        #expect(answers.count == 10)
        // The rows from 2,000 on stay as they are.
        for answer in answers where answer.id >= 2_000 {
          #expect(answer.id < 4_000)
        }
        #expect(answers.map(\.distance) == answers.map(\.distance).sorted())
      }
    }
    #expect(changes.stop() > 0)
    #expect(index.brokenInvariant() == nil)
  }
}

/// A thread that removes and adds rows below 2,000 until it is stopped.
private final class Changes: Sendable {
  private let index: VectorIndex
  private let rows: [[Float]]
  private let done = Atomic<Int>(0)
  private let isStopped = Atomic<Bool>(false)
  private let end = DispatchSemaphore(value: 0)

  init(_ index: VectorIndex, _ rows: [[Float]]) {
    self.index = index
    self.rows = rows
  }

  func start() {
    Thread.detachNewThread { [self] in
      let random = SeededRandom(seed: 77)
      repeat {
        let id = Int(random.next(below: 2_000))
        index.remove(id: UInt64(id))
        try? index.upsert(rows[id], id: UInt64(id))
        done.wrappingAdd(1, ordering: .relaxed)
      } while !isStopped.load(ordering: .relaxed)
      end.signal()
    }
  }

  /// How many changes there were.
  func stop() -> Int {
    isStopped.store(true, ordering: .relaxed)
    end.wait()
    return done.load(ordering: .relaxed)
  }
}
