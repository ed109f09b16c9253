import Base
import CLinux
import Glibc
import Synchronization

/// A loop as other threads see it: the only part of it that may leave its thread.
package struct EventLoopHandle: Sendable {
  let mailbox: Mailbox

  /// True on the loop's own thread.
  package var isCurrent: Bool { mailbox.thread == pthread_self() }

  /// Runs `body` on the loop, in the order of the posts of one thread. Returns false, and drops
  /// it, when the loop is closed. There is no limit here: whoever posts is bounded itself (a side
  /// thread has a bounded queue, another loop one post per message it was sent).
  @discardableResult
  package func post(_ body: @escaping @Sendable (EventLoop) -> Void) -> Bool {
    mailbox.post(.body(body))
  }
}

/// What waits to run on the loop.
enum Post: Sendable {
  case body(@Sendable (EventLoop) -> Void)
  case taskJob(UnownedJob)
  case actorJob(UnownedJob)

  var name: String {
    switch self {
    case .body: "post"
    case .taskJob: "task"
    case .actorJob: "actor"
    }
  }
}

/// Posts of all threads on their way to one loop. The eventfd is written only while the loop
/// sleeps, so a burst costs one wake-up.
final class Mailbox: Sendable {
  private struct State {
    var posts: [Post] = []
    var isClosed = false
  }

  let thread: pthread_t
  let descriptor: Int32
  private let state = Locked(State())
  private let sleeping = Atomic<Bool>(false)
  private let wakeups: Counter

  init(wakeups: Counter) throws(RingFailure) {
    self.wakeups = wakeups
    thread = pthread_self()
    descriptor = kfm_event_descriptor()
    guard descriptor >= 0 else { throw RingFailure(code: errno) }
  }

  deinit { close(descriptor) }

  func post(_ post: Post) -> Bool {
    let accepted = state.withLock { state in
      guard !state.isClosed else { return false }
      state.posts.append(post)
      return true
    }
    // The loop raises the flag before it looks for posts a last time, we look at the flag after
    // ours is in: one of the two sees the other (the lock orders them).
    if accepted { wakeIfSleeping() }
    return accepted
  }

  /// Ends the loop's sleep, if it sleeps, after something was put where it looks once more after
  /// `beginSleep`. A burst costs one write. (MSG_RING, the other way to wake a ring, was measured
  /// to cost twice as much on both sides.)
  func wakeIfSleeping() {
    if sleeping.exchange(false, ordering: .sequentiallyConsistent) { wake() }
  }

  /// Says that the loop is about to sleep; false when something waits already.
  func beginSleep() -> Bool {
    sleeping.store(true, ordering: .sequentiallyConsistent)
    let isEmpty = state.withLock { $0.posts.isEmpty }
    if !isEmpty { endSleep() }
    return isEmpty
  }

  func endSleep() { sleeping.store(false, ordering: .relaxed) }

  /// Everything posted so far; `spare`'s storage takes the next posts.
  func take(_ spare: inout [Post]) {
    state.withLock { swap(&$0.posts, &spare) }
  }

  func close() {
    let dropped = state.withLock { state in
      state.isClosed = true
      defer { state.posts = [] }
      return state.posts
    }
    // Released out here: a dropped closure may own something that posts when it goes.
    _ = dropped
  }

  private func wake() {
    wakeups.add()
    var one: UInt64 = 1
    // Fails only when the counter is full, and then the loop is awake already.
    _ = write(descriptor, &one, 8)
  }

  private func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }
}
