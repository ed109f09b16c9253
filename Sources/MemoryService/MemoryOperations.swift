package import Base
package import Events
package import VectorIndex

/// Answers what the packs know, on the loop. Indexes are opened elsewhere (`KnowledgeLibrary`) and
/// handed in; questions to one that is on its way wait for it.
package final class MemoryOperations: KnowledgeRetriever {
  package struct Limits: Sendable {
    /// Questions that wait for one index; more are refused.
    package var waitingMax = 1_024
    /// Passages kept for questions that are asked again.
    package var cacheBytesMax = 4 << 20
    package var cacheTimeToLive = Nanoseconds.seconds(300)

    package init() {}
  }

  package let metrics = MemoryMetrics()
  /// What questions are compared by.
  package let searchMode: SearchMode

  private enum Shelf {
    case opening(waiting: [Retrieval])
    case open(KnowledgeIndex)
    case failed(MemoryError)
  }

  private let limits: Limits
  private let enqueue: (@escaping () -> Void) -> Void
  private let cache: CacheLayer<[Passage]>
  private var shelves: [String: Shelf] = [:]

  /// - Parameter enqueue: runs a body on the loop after the current one has returned.
  package init(
    limits: Limits = Limits(), searchMode: SearchMode = .hybrid, clock: any Clock,
    enqueue: @escaping (@escaping () -> Void) -> Void
  ) {
    self.limits = limits
    self.searchMode = searchMode
    self.enqueue = enqueue
    cache = CacheLayer(
      limits: .init(bytesMax: limits.cacheBytesMax, timeToLive: limits.cacheTimeToLive),
      clock: clock)
  }

  /// Says that the index of a pack is being opened. False when it is known already: then there is
  /// nothing to open. One that failed is tried again.
  package func expect(packDigest: String) -> Bool {
    switch shelves[packDigest] {
    case .opening, .open: return false
    case .failed, nil:
      shelves[packDigest] = .opening(waiting: [])
      return true
    }
  }

  /// Takes an index, or why there is none, and answers the questions that waited.
  package func install(_ result: Result<KnowledgeIndex, MemoryError>, packDigest: String) {
    let before = shelves[packDigest]
    switch result {
    case .success(let index): shelves[packDigest] = .open(index)
    case .failure(let error): shelves[packDigest] = .failed(error)
    }
    guard case .opening(let waiting)? = before else { return }
    for retrieval in waiting where !retrieval.isDone { answer(retrieval) }
  }

  /// Forgets a pack that no turn uses any more.
  package func discard(packDigest: String) {
    guard let shelf = shelves.removeValue(forKey: packDigest) else { return }
    guard case .opening(let waiting) = shelf else { return }
    for retrieval in waiting where !retrieval.isDone { answer(retrieval) }
  }

  /// The probes of all indexes that are open.
  package var probes: [RecallProbe] {
    shelves.values.compactMap { shelf in
      if case .open(let index) = shelf { index.probe } else { nil }
    }
  }

  /// The index of a pack once it is open.
  package func index(packDigest: String) -> KnowledgeIndex? {
    guard case .open(let index)? = shelves[packDigest] else { return nil }
    return index
  }

  package func retrieve(
    _ query: KnowledgeQuery, completion: @escaping (Result<[Passage], TurnFailure>) -> Void
  ) -> any Cancellable {
    let retrieval = Retrieval(query: query, completion: completion)
    guard case .opening(var waiting)? = shelves[query.packDigest] else {
      enqueue { [self] in answer(retrieval) }
      return retrieval
    }
    waiting.removeAll(where: \.isDone)
    if waiting.count < limits.waitingMax {
      waiting.append(retrieval)
      shelves[query.packDigest] = .opening(waiting: waiting)
    } else {
      enqueue {
        retrieval.finish(
          .failure(TurnFailure(.overloaded, "too many questions wait for the pack's index")))
      }
    }
    return retrieval
  }

  private func answer(_ retrieval: Retrieval) {
    guard !retrieval.isDone else { return }
    let result: Result<[Passage], TurnFailure>
    switch shelves[retrieval.query.packDigest] {
    case .open(let index): result = passages(retrieval.query, index)
    case .failed(let error):
      result = .failure(TurnFailure(.packUnavailable, "the pack's index: \(error)"))
    case .opening, nil:
      result = .failure(
        TurnFailure(.packUnavailable, "this node does not hold the knowledge of that pack"))
    }
    metrics.record(result)
    retrieval.finish(result)
  }

  private func passages(_ query: KnowledgeQuery, _ index: KnowledgeIndex)
    -> Result<[Passage], TurnFailure>
  {
    let handle = cache.handle(tenantID: query.tenantID)
    let settings = query.settings
    let key = "\(query.packDigest) \(settings.topK) \(settings.minScore) \(query.text)"
    if let cached = handle.value(for: key) {
      metrics.cacheHits.add()
      return .success(cached)
    }
    do throws(MemoryError) {
      let passages = try index.passages(
        for: query.text, settings: settings, mode: searchMode)
      let bytes = passages.reduce(0) { $0 + $1.text.utf8.count + 256 }
      handle.set(passages, bytes: bytes, for: key)
      return .success(passages)
    } catch {
      return .failure(TurnFailure(.internal, "retrieval failed: \(error)"))
    }
  }
}

/// A question and who waits for its answer.
private final class Retrieval: Cancellable {
  let query: KnowledgeQuery
  private var completion: ((Result<[Passage], TurnFailure>) -> Void)?

  init(
    query: KnowledgeQuery, completion: @escaping (Result<[Passage], TurnFailure>) -> Void
  ) {
    self.query = query
    self.completion = completion
  }

  /// Answered or cancelled.
  var isDone: Bool { completion == nil }

  func cancel() { completion = nil }

  func finish(_ result: Result<[Passage], TurnFailure>) {
    guard let completion else { return }
    self.completion = nil
    completion(result)
  }
}

/// What memory counts, for `/metrics`.
package final class MemoryMetrics: Sendable {
  package let retrievals = Counter()
  package let retrievalsFailed = Counter()
  package let passages = Counter()
  package let cacheHits = Counter()

  func record(_ result: Result<[Passage], TurnFailure>) {
    retrievals.add()
    switch result {
    case .success(let found): passages.add(found.count)
    case .failure: retrievalsFailed.add()
    }
  }
}
