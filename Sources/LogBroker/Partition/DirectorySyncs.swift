/// Directories with new entries, and who waits until those are durable.
final class DirectorySyncs {
  typealias Completion = (Result<Void, CommitFailure>) -> Void

  private let storage: any LoopStorage
  private var unsynced: Set<String> = []
  private var waiters: [Completion] = []
  private var isRunning = false

  init(storage: any LoopStorage) { self.storage = storage }

  /// `path` has got a new entry.
  func add(_ path: String) { unsynced.insert(path) }

  /// Makes all entries that were added before durable. May complete inside the call.
  func sync(_ completion: @escaping Completion) {
    waiters.append(completion)
    if !isRunning { run() }
  }

  /// Those who ask meanwhile wait for the next run: what this one has taken is durable then, too.
  private func run() {
    guard !waiters.isEmpty else { return }
    let waiting = waiters
    let taken = unsynced
    waiters = []
    unsynced = []
    isRunning = true
    let sweep = Sweep(taken.sorted()) { [storage] directory, done in
      storage.syncDirectory(directory) { done($0.mapError { .ofDirectory($0) }) }
    }
    sweep.start { [self] result in
      isRunning = false
      if case .failure = result { unsynced.formUnion(taken) }
      for waiter in waiting { waiter(result) }
      if !isRunning { run() }
    }
  }
}
