import Base
import Glibc

/// Runs tasks on a loop: `Task(executorPreference: loop.taskExecutor) { … }`. A task without this
/// preference resumes on the global pool after every suspension and only then comes back.
// Sendable because only the loop's thread touches `jobs` and `isClosed`.
package final class LoopTaskExecutor: TaskExecutor, @unchecked Sendable {
  private let mailbox: Mailbox
  private let foreignEnqueues: Counter
  /// What the loop's own thread resumed: it needs no lock and wakes nobody.
  private var jobs: [UnownedJob] = []
  private var isClosed = false

  init(mailbox: Mailbox, foreignEnqueues: Counter) {
    self.mailbox = mailbox
    self.foreignEnqueues = foreignEnqueues
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    // On a closed loop nobody runs it any more: the task stays suspended, as if still waiting.
    // Running it elsewhere would break what every user of the loop relies on.
    guard mailbox.thread == pthread_self() else {
      foreignEnqueues.add()
      return _ = mailbox.post(.taskJob(UnownedJob(job)))
    }
    if !isClosed { jobs.append(UnownedJob(job)) }
  }

  var hasJobs: Bool { !jobs.isEmpty }

  /// Everything enqueued on the loop's thread so far; `spare`'s storage takes the next jobs.
  func take(_ spare: inout [UnownedJob]) { swap(&jobs, &spare) }

  func close() {
    isClosed = true
    jobs = []
  }
}

/// Runs actors on a loop: an actor returns it from `unownedExecutor`. Its callers should carry
/// the loop's task executor as well, see `LoopTaskExecutor`.
package final class LoopSerialExecutor: SerialExecutor {
  private let mailbox: Mailbox
  private let taskExecutor: LoopTaskExecutor

  init(mailbox: Mailbox, taskExecutor: LoopTaskExecutor) {
    self.mailbox = mailbox
    self.taskExecutor = taskExecutor
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    _ = mailbox.post(.actorJob(UnownedJob(job)))
  }

  /// Lets `assumeIsolated` work in callbacks of the loop.
  package func checkIsolated() {
    precondition(mailbox.thread == pthread_self(), "not on the thread of this loop")
  }

  package func isIsolatingCurrentContext() -> Bool? { mailbox.thread == pthread_self() }
}

extension EventLoop {
  /// For `Task(executorPreference:)`.
  package var taskExecutor: LoopTaskExecutor { executor }
  /// For the `unownedExecutor` of an actor.
  package var serialExecutor: LoopSerialExecutor { actorExecutor }
}
