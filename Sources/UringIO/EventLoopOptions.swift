/// Sizes of a loop's ring and buffers.
package struct EventLoopOptions: Sendable {
  /// Submission entries, a power of two, at least 2 (linked operations go together). A fuller turn
  /// submits early; 64 bytes each.
  package var submissionEntries = 512
  /// Completion entries, a power of two; more than that wait in the kernel. 16 bytes each.
  package var completionEntries = 4_096
  /// Receive buffers shared by all sockets, a power of two; 0 gives every socket one of its own.
  package var receiveBuffers = 64
  /// Bytes of one receive buffer. 64 x 32 KiB = 2 MiB: a larger pool falls out of the cache and
  /// was measured slower, smaller buffers split large messages.
  package var receiveBufferBytes = 32_768

  package init() {}
}
