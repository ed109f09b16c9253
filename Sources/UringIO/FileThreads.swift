import CURing
import Glibc

/// File operations of a loop without a ring: a few threads that block in its place, so that a slow
/// disk never does. At least one of them is kept for reads: they do not wait behind syncs.
final class FileThreads: Sendable {
  /// One operation, or one that is linked to the next: that one runs only if all bytes of the first
  /// were written, else it ends with ECANCELED, as in a ring.
  // Sendable because what it points at belongs to the operation's owner, whom the loop keeps alive
  // and away from it until the completion.
  struct Job: @unchecked Sendable {
    var request: Request
    var id: OperationID
    var next: (request: Request, id: OperationID)?
  }

  private struct State {
    var reads: ContiguousArray<Job> = []
    var writes: ContiguousArray<Job> = []
    var threads = 0
    var busy = 0
    var writing = 0
    var isClosed = false
    /// Wakes the loop; nil once it has closed, so that no thread keeps its eventfd open.
    var mailbox: Mailbox?
  }

  private enum Turn {
    case job(Job, isRead: Bool)
    case end
  }

  private static let threadsMax = 4

  private let state: Locked<State>
  private let completed = Locked<ContiguousArray<kfm_completion>>([])

  init(mailbox: Mailbox) { state = Locked(State(mailbox: mailbox)) }

  /// Queues a job; the number waiting is bounded by the operations the loop's clients have in
  /// flight. Threads are started as they are needed.
  func add(_ job: Job) {
    let isRead = if case .read = job.request { true } else { false }
    let startsThread = state.withLock { state in
      if isRead { state.reads.append(job) } else { state.writes.append(job) }
      guard state.threads - state.busy < state.reads.count + state.writes.count,
        state.threads < Self.threadsMax
      else { return false }
      state.threads += 1
      return true
    }
    guard startsThread else { return state.notifyOne() }
    if !startDetachedThread(self, { $0.runThread() }) { runWithoutThread() }
  }

  /// Moves everything completed so far to the end of `batch`; returns how many there are.
  func take(into batch: inout ContiguousArray<kfm_completion>) -> Int {
    completed.withLock { completed in
      defer { completed.removeAll(keepingCapacity: true) }
      batch.append(contentsOf: completed)
      return completed.count
    }
  }

  /// Ends what no thread has begun.
  func cancelWaiting() {
    let waiting = state.withLock { state in
      defer {
        state.reads = []
        state.writes = []
      }
      return state.reads + state.writes
    }
    for job in waiting {
      complete(job.id, -ECANCELED)
      if let next = job.next { complete(next.id, -ECANCELED) }
    }
  }

  /// The threads end after what they are doing.
  func close() {
    state.withLock { state in
      state.isClosed = true
      state.mailbox = nil
    }
    state.notifyAll()
  }

  private func runThread() {
    while case .job(let job, let isRead) = state.wait(Self.take) { run(job, isRead: isRead) }
  }

  /// The system gives no thread: others do the work, or the loop itself has to.
  private func runWithoutThread() {
    let mustRun = state.withLock { state in
      state.threads -= 1
      return state.threads == 0
    }
    while mustRun, case .job(let job, let isRead) = state.withLock(Self.take) {
      run(job, isRead: isRead)
    }
  }

  private static func take(_ state: inout State) -> Turn? {
    if state.isClosed { return .end }
    if !state.reads.isEmpty {
      state.busy += 1
      return .job(state.reads.removeFirst(), isRead: true)
    }
    guard !state.writes.isEmpty, state.writing < threadsMax - 1 else { return nil }
    state.busy += 1
    state.writing += 1
    return .job(state.writes.removeFirst(), isRead: false)
  }

  private func run(_ job: Job, isRead: Bool) {
    let result = Self.perform(job.request)
    if let next = job.next {
      let isWhole = result >= 0 && Int(result) == Self.byteCount(job.request)
      complete(job.id, result)
      complete(next.id, isWhole ? Self.perform(next.request) : -ECANCELED)
    } else {
      complete(job.id, result)
    }
    state.withLock { state in
      state.busy -= 1
      if !isRead { state.writing -= 1 }
      state.mailbox?.wakeIfSleeping()
    }
  }

  private func complete(_ id: OperationID, _ result: Int32) {
    completed.withLock {
      $0.append(kfm_completion(user_data: id.raw, result: result, flags: 0))
    }
  }

  private static func byteCount(_ request: Request) -> Int {
    guard case .write(_, let pieces, _) = request else { return 0 }
    return pieces.reduce(0) { $0 + $1.iov_len }
  }

  /// The bytes moved or a negative errno. Not tried again after EINTR: the owner decides.
  private static func perform(_ request: Request) -> Int32 {
    let result: Int
    switch request {
    case .read(let descriptor, let buffer, let offset):
      result = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    case .write(_, let pieces, _) where pieces.isEmpty: result = 0
    case .write(let descriptor, let pieces, let offset):
      result = pwritev(descriptor, pieces.baseAddress, Int32(pieces.count), off_t(offset))
    case .sync(let descriptor): result = Int(fdatasync(descriptor))
    default: preconditionFailure("no operation on a file")
    }
    return result < 0 ? -errno : Int32(truncatingIfNeeded: result)
  }
}
