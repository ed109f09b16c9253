/// Runs a step for each of many items, some at a time, until all are done or one fails.
final class Sweep<Item> {
  typealias Completion = (Result<Void, CommitFailure>) -> Void

  private var waiting: [Item]
  private let step: (Item, @escaping Completion) -> Void
  private var running = 0
  private var failure: CommitFailure?
  private var completion: Completion?

  /// - Parameter step: does one item; its completion may run inside the call.
  init(_ items: [Item], step: @escaping (Item, @escaping Completion) -> Void) {
    waiting = items.reversed()
    self.step = step
  }

  /// Called once. `completion` may run inside the call, when all steps end inside theirs.
  func start(_ completion: @escaping Completion) {
    self.completion = completion
    advance()
  }

  /// A failed sync weighs more than what may be tried again.
  private func note(_ failure: CommitFailure) {
    if case .sync = failure { self.failure = failure }
    if self.failure == nil { self.failure = failure }
  }

  private func advance() {
    while failure == nil, running < LogLimits.checkpointWidth, let item = waiting.popLast() {
      running += 1
      step(item) { [self] result in
        running -= 1
        if case .failure(let failure) = result { note(failure) }
        advance()
      }
    }
    guard running == 0, failure != nil || waiting.isEmpty else { return }
    let completion = completion
    self.completion = nil
    completion?(failure.map { .failure($0) } ?? .success(()))
  }
}
