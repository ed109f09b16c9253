package import Base

/// The limits of an HTTP server. Those that an owner may want otherwise are properties.
package struct HTTPLimits: Sendable {
  /// Request line and header fields, with their line ends: 431. Cookies and tokens fit many times.
  package static let headBytesMax = 64 << 10
  /// Header fields of one message, and trailer fields likewise: 431. Bounds what a look-up costs.
  package static let fieldsMax = 100
  /// The request target, as sent: 431. What browsers and proxies agree to carry.
  package static let targetBytesMax = 8 << 10
  /// The trailer section of a chunked body: 431. It is checked and dropped.
  package static let trailerBytesMax = 8 << 10
  /// All chunk extensions of one body: 400. Nobody uses them but to hide work in them.
  package static let chunkExtensionBytesMax = 16 << 10
  /// What is read and dropped, over `bodyBytesMax`, before a refused connection is closed, so that
  /// a client that is still sending sees the answer.
  package static let lingerBytesMax = 4 << 20
  /// Requests of one connection that wait for the one being answered, in bytes; more is left in
  /// the kernel.
  package static let pipelineBytesMax = 64 << 10
  /// Output that the client has not taken: a streamed answer over it is cut (SEMANTICS D20 lets
  /// the client resume).
  package static let responseQueueBytesMax = 1 << 20
  /// The next request of a connection waits until less than this of the last answer is queued.
  package static let responseQueueBytesLow = 64 << 10
  /// Connections that wait to be accepted, in the kernel.
  package static let backlog: Int32 = 512

  /// A request's body: 413.
  package var bodyBytesMax = 4 << 20
  /// Bodies being received, all connections together: 503. A thousand clients that all send the
  /// largest body must not take the memory of the machine.
  package var bodiesBytesMax = 256 << 20
  /// Connections at once, over all listeners; more are answered 503. At some 20 KiB each: 20 MiB.
  package var connectionsMax = 1_024
  /// From a request's first byte (or the connection's start) to the end of its head: 408.
  package var headTimeout = Nanoseconds.seconds(10)
  /// Between two pieces of a body: 408.
  package var bodyIdleTimeout = Nanoseconds.seconds(10)
  /// A whole body: 408. The largest by default needs 35 KiB/s.
  package var bodyTimeout = Nanoseconds.seconds(120)
  /// Between two requests of a connection; then it is closed without a word.
  package var idleTimeout = Nanoseconds.seconds(60)
  /// For a client that takes nothing of the output queued for it; then the connection is closed.
  package var sendTimeout = Nanoseconds.seconds(30)
  /// From a refusal to the end of its connection, for what the client is still sending.
  package var lingerTimeout = Nanoseconds.seconds(5)

  package init() {}
}
