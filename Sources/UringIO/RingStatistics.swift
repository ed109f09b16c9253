package import Base

/// What a ring has done since it was made. Any thread may read it.
package struct RingStatistics: Sendable {
  /// Calls of `io_uring_enter`; an idle loop makes none.
  package let enters = Counter()
  package let completions = Counter()
  /// Times the submission queue was full and had to be submitted early.
  package let submissionQueueFull = Counter()
  /// Times the kernel held completions back because the completion queue was full.
  package let completionQueueFull = Counter()
  /// Writes to the eventfd that woke the loop from another thread.
  package let wakeups = Counter()
  /// Jobs of the loop's tasks that another thread handed in: a task that never leaves its loop
  /// causes none.
  package let foreignEnqueues = Counter()
  /// Receives that found no buffer free and were armed again.
  package let receiveBuffersExhausted = Counter()
  /// Completions nobody waited for any more (of operations that were cancelled).
  package let staleCompletions = Counter()
  /// Accepts that failed for want of descriptors or memory, each followed by a pause.
  package let acceptPauses = Counter()

  /// Callbacks that held the loop for 50 ms or longer.
  package let stalls = Counter()

  init() {}
}
