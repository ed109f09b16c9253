import Base
import CURing

/// Which way of input and output a loop uses.
package enum IOKind: String, Sendable, CaseIterable, Codable {
  case uring, epoll
}

/// Which way is asked for.
package enum IOChoice: String, Sendable, CaseIterable {
  /// io_uring, and epoll where this process may not have it.
  case auto
  /// io_uring, or no loop.
  case uring
  case epoll
}

/// What carries out the operations of a loop. A closed set of classes and no protocol: the calls
/// are on the hottest path.
enum Backend {
  case ring(Ring)
  case epoll(Epoll)

  /// With the failure that made `auto` fall back.
  static func make(
    _ options: EventLoopOptions, _ mailbox: Mailbox, _ statistics: RingStatistics
  ) throws(RingFailure) -> (backend: Backend, fallback: RingFailure?) {
    guard options.io != .epoll else {
      return (.epoll(try Epoll(mailbox: mailbox, statistics: statistics)), nil)
    }
    do throws(RingFailure) {
      return (.ring(try Ring(options: options, statistics: statistics)), nil)
    } catch {
      // Without descriptors nothing works.
      guard options.io == .auto, error.cause != .descriptorLimit else { throw error }
      return (.epoll(try Epoll(mailbox: mailbox, statistics: statistics)), error)
    }
  }

  var kind: IOKind {
    switch self {
    case .ring: .uring
    case .epoll: .epoll
    }
  }

  var isOpen: Bool {
    switch self {
    case .ring(let ring): ring.isOpen
    case .epoll(let epoll): epoll.isOpen
    }
  }

  /// Queues an operation. A `linked` one is followed by the next, which runs only after the whole
  /// of it.
  func submit(_ request: Request, _ id: OperationID, linked: Bool) {
    switch self {
    case .ring(let ring): ring.submit(request, id, linked: linked)
    case .epoll(let epoll): epoll.submit(request, id, linked: linked)
    }
  }

  /// Asks for the end of an operation; its owner still gets the last completion.
  func cancel(_ id: OperationID) {
    switch self {
    case .ring(let ring): ring.cancel(id)
    case .epoll(let epoll): epoll.cancel(id)
    }
  }

  func cancelAll() {
    switch self {
    case .ring(let ring): ring.cancelAll()
    case .epoll(let epoll): epoll.cancelAll()
    }
  }

  /// Makes sure that the next `count` operations go to the kernel together.
  func reserve(_ count: UInt32) {
    if case .ring(let ring) = self { ring.reserve(count) }
  }

  /// Submits, waits for at most `limit` (without limit for nil) unless something has completed, and
  /// reaps.
  func enter(waiting limit: Nanoseconds?) {
    switch self {
    case .ring(let ring): ring.enter(waiting: limit)
    case .epoll(let epoll): epoll.enter(waiting: limit)
    }
  }

  func forEachCompletion(_ body: (kfm_completion) -> Void) {
    switch self {
    case .ring(let ring): ring.forEachCompletion(body)
    case .epoll(let epoll): epoll.forEachCompletion(body)
    }
  }

  func close() {
    switch self {
    case .ring(let ring): ring.close()
    case .epoll(let epoll): epoll.close()
    }
  }

  /// The pool sockets receive into; nil where every socket has a buffer of its own.
  func makeReceiveBuffers(_ options: EventLoopOptions, _ blocks: LoopBlocks) -> ReceiveBuffers? {
    switch self {
    case .ring(let ring):
      return ReceiveBuffers(
        ring: ring.pointer, count: options.receiveBuffers, pool: blocks.received)
    case .epoll(let epoll):
      epoll.buffers = ReceiveBuffers(
        count: min(options.receiveBuffers, Epoll.receiveBuffersMax), pool: blocks.received)
      return epoll.buffers
    }
  }
}
