import Synchronization

/// Watches the recall of an index on the queries that it is really asked: a sample of them is kept,
/// and `run`, called where there is time for it, searches them again and compares with exact
/// search. The figures are read from any thread.
///
/// ```swift
/// let probe = RecallProbe(index)
/// probe.observe(query)          // beside every search; cheap
/// try probe.run()               // on a thread that may wait, now and then
/// print(probe.report.recall)    // the share of the true nearest that a search finds
/// ```
public final class RecallProbe: Sendable {
  public struct Options: Sendable, Hashable {
    public var k: Int
    /// That the searches use.
    public var ef: Int
    /// One query in so many is kept.
    public var sampleEvery: Int
    /// Queries kept; a new one replaces one drawn at random.
    public var sampleMax: Int
    /// Queries of one `run` at most: each costs an exact search.
    public var runMax: Int

    public init(
      k: Int = 10, ef: Int = 64, sampleEvery: Int = 16, sampleMax: Int = 256, runMax: Int = 16
    ) {
      self.k = max(1, k)
      self.ef = max(1, ef)
      self.sampleEvery = max(1, sampleEvery)
      self.sampleMax = max(1, sampleMax)
      self.runMax = max(1, runMax)
    }
  }

  public struct Report: Sendable, Hashable {
    /// Mean recall@k of the latest comparisons, as many as there are samples; 1 before the first.
    public var recall = 1.0
    /// By how much `recall` is below what the first whole round of samples gave; above 0 when the
    /// index has become worse, or is asked other things than then.
    public var drift = 0.0
    /// Comparisons made so far.
    public var comparisons = 0
  }

  private struct State {
    var samples: [[Float]] = []
    var observed = 0
    var next = 0
    /// Recalls of the latest comparisons, a ring.
    var recalls: [Double] = []
    var report = Report()
    var baseline: Double?
    var random: UInt64 = 0x9E37_79B9_7F4A_7C15
  }

  private let index: VectorIndex
  public let options: Options
  private let state = Mutex(State())

  public init(_ index: VectorIndex, options: Options = Options()) {
    self.index = index
    self.options = options
  }

  public var report: Report { state.withLock { $0.report } }

  /// Takes note of a query; every n-th is kept.
  public func observe(_ query: [Float]) {
    state.withLock { state in
      state.observed += 1
      guard state.observed % options.sampleEvery == 1 || options.sampleEvery == 1 else { return }
      if state.samples.count < options.sampleMax {
        state.samples.append(query)
      } else {
        state.random = state.random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let place = (state.random >> 33) % UInt64(state.samples.count)
        state.samples[Int(place)] = query
      }
    }
  }

  /// Compares up to `runMax` of the samples, the next ones in turn; searches and changes of the
  /// index go on meanwhile. Does nothing without samples.
  /// - Returns: comparisons made.
  @discardableResult
  public func run() throws(VectorIndexError) -> Int {
    let queries = state.withLock { state in
      let count = min(options.runMax, state.samples.count)
      let picked = (0..<count).map { state.samples[(state.next + $0) % state.samples.count] }
      state.next = state.samples.isEmpty ? 0 : (state.next + count) % state.samples.count
      return picked
    }
    for query in queries {
      let recall = try recall(query)
      state.withLock { record(recall, &$0) }
    }
    return queries.count
  }

  /// By distance, so that of several rows equally far any counts.
  private func recall(_ query: [Float]) throws(VectorIndexError) -> Double {
    let exact = try index.exactSearch(query, k: options.k)
    guard let limit = exact.last?.distance else { return 1 }
    let found = try index.search(query, k: options.k, ef: options.ef)
    let slack = 1e-6 * max(1, abs(limit))
    let good = found.count { $0.distance <= limit + slack }
    return Double(min(good, exact.count)) / Double(exact.count)
  }

  private func record(_ recall: Double, _ state: inout State) {
    let place = state.report.comparisons % options.sampleMax
    if place < state.recalls.count {
      state.recalls[place] = recall
    } else {
      state.recalls.append(recall)
    }
    state.report.comparisons += 1
    state.report.recall = state.recalls.reduce(0, +) / Double(state.recalls.count)
    if state.baseline == nil, state.recalls.count >= min(options.sampleMax, state.samples.count) {
      state.baseline = state.report.recall
    }
    state.report.drift = (state.baseline ?? state.report.recall) - state.report.recall
  }
}
