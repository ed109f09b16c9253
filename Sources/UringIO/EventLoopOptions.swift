/// How a loop does its input and output, and sizes of its ring and buffers.
package struct EventLoopOptions: Sendable {
  package var io = IOChoice.auto
  /// Submission entries, a power of two, at least 2. A fuller turn
  /// submits early; 64 bytes each.
  package var submissionEntries = 512
  /// Completion entries, a power of two; more than that wait in the kernel. 16 bytes each.
  package var completionEntries = 4_096
  /// Receive buffers shared by all sockets, a power of two; 0 gives every socket one of its own.
  package var receiveBuffers = 64
  /// Bytes of one receive buffer. 64 x 32 KiB = 2 MiB: a larger pool falls out of the cache and
  /// was measured slower, smaller buffers split large messages.
  package var receiveBufferBytes = 32_768
  /// The same on epoll, where the loop receives into one buffer at a time: a larger one stays in the
  /// cache all the same and saves system calls. With 32 KiB an echo of 64 KiB took twice the CPU.
  package var readinessBufferBytes = 131_072

  /// The mode to begin with; a kernel that cannot do it gets the next one.
  package var bestMode = RingMode.deferred

  package init() {}
}

/// How completions get into a ring, by what the kernel can do; the best first.
package enum RingMode: UInt32, Sendable, CaseIterable {
  /// Linux 6.1: worked on only when the loop asks for them.
  case deferred
  /// Linux 5.19: without interrupting the loop's thread.
  case cooperative
  case plain
}
