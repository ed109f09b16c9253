import Base
import Events
import MemoryService
import TestSupport
import Testing

// Contract: every question is answered once, on the loop, after `retrieve` has returned, and never
// after `cancel`; questions to an index on its way wait, up to a limit; a failed or unknown pack
// is `pack_unavailable`; a repeated question is answered from the tenant's own cache.

@Suite struct MemoryOperationsTests {
  /// A loop as far as these operations see one.
  private final class Loop {
    private var bodies: [() -> Void] = []
    func enqueue(_ body: @escaping () -> Void) { bodies.append(body) }
    func run() {
      while !bodies.isEmpty { bodies.removeFirst()() }
    }
  }

  private final class Answers {
    var results: [Result<[Passage], TurnFailure>] = []
    var codes: [ErrorCode?] {
      results.map { result in
        if case .failure(let failure) = result { failure.code } else { nil }
      }
    }
  }

  private let directory = TemporaryDirectory("memory")
  private let loop = Loop()
  private let answers = Answers()

  private func operations(_ limits: MemoryOperations.Limits = .init()) -> MemoryOperations {
    MemoryOperations(limits: limits, clock: ManualClock(), enqueue: loop.enqueue)
  }

  private func index() throws -> KnowledgeIndex {
    let library = KnowledgeLibrary(
      directory: directory.path, embedder: .init(choice: .hash, modelDirectories: []))
    return try library.open(SampleKnowledge.source())
  }

  @discardableResult
  private func ask(
    _ memory: MemoryOperations, _ text: String = "fdatasync", tenant: String = "t"
  ) -> any Cancellable {
    let query = KnowledgeQuery(
      tenantID: tenant, packDigest: "d1", settings: .init(), text: text)
    return memory.retrieve(query) { [answers] in answers.results.append($0) }
  }

  @Test func anOpenIndexAnswersAfterTheCallHasReturned() throws {
    let memory = operations()
    #expect(memory.expect(packDigest: "d1"))
    #expect(!memory.expect(packDigest: "d1"))
    memory.install(.success(try index()), packDigest: "d1")
    #expect(!memory.expect(packDigest: "d1"))
    #expect(memory.index(packDigest: "d1") != nil)
    ask(memory)
    #expect(answers.results.isEmpty)
    loop.run()
    #expect(try answers.results[0].get().first?.document == "durability.md")
    #expect(memory.metrics.retrievals.value == 1)
    #expect(memory.metrics.passages.value == 4)
  }

  @Test func questionsWaitForTheirIndex() throws {
    let memory = operations()
    #expect(memory.expect(packDigest: "d1"))
    ask(memory)
    ask(memory).cancel()
    loop.run()
    #expect(answers.results.isEmpty)
    memory.install(.success(try index()), packDigest: "d1")
    loop.run()
    #expect(answers.codes == [nil])
  }

  @Test func cancelledQuestionsAreSilent() throws {
    let memory = operations()
    _ = memory.expect(packDigest: "d1")
    memory.install(.success(try index()), packDigest: "d1")
    let question = ask(memory)
    question.cancel()
    question.cancel()
    loop.run()
    #expect(answers.results.isEmpty)
  }

  @Test func failuresNameThePack() throws {
    let memory = operations()
    ask(memory)
    loop.run()
    _ = memory.expect(packDigest: "d1")
    ask(memory)
    memory.install(
      .failure(.knowledgeTooLarge(what: "bytes", actual: 2, limit: 1)), packDigest: "d1")
    ask(memory)
    loop.run()
    #expect(answers.codes == [.packUnavailable, .packUnavailable, .packUnavailable])
    #expect(memory.metrics.retrievalsFailed.value == 3)
    // It can be tried again.
    #expect(memory.expect(packDigest: "d1"))
    ask(memory)
    memory.discard(packDigest: "d1")
    #expect(answers.codes.count == 4)
  }

  @Test func waitingIsBounded() throws {
    var limits = MemoryOperations.Limits()
    limits.waitingMax = 2
    let memory = operations(limits)
    _ = memory.expect(packDigest: "d1")
    let first = ask(memory)
    ask(memory)
    ask(memory)
    loop.run()
    #expect(answers.codes == [.overloaded])
    // A cancelled one makes room.
    first.cancel()
    ask(memory)
    loop.run()
    memory.install(.success(try index()), packDigest: "d1")
    #expect(answers.codes == [.overloaded, nil, nil])
  }

  @Test func repeatedQuestionsComeFromTheCacheOfTheirTenant() throws {
    let memory = operations()
    _ = memory.expect(packDigest: "d1")
    memory.install(.success(try index()), packDigest: "d1")
    for tenant in ["t", "t", "u"] { ask(memory, tenant: tenant) }
    loop.run()
    let passages = try answers.results.map { try $0.get() }
    #expect(passages[0] == passages[1])
    #expect(passages[0] == passages[2])
    #expect(memory.metrics.cacheHits.value == 1)
  }
}
