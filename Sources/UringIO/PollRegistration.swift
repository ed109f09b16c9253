import Glibc

/// What to wait for on a descriptor, and what was found.
package struct PollEvents: OptionSet, Hashable, Sendable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let readable = PollEvents(rawValue: UInt32(POLLIN))
  package static let writable = PollEvents(rawValue: UInt32(POLLOUT))
  /// Found without being asked for.
  package static let error = PollEvents(rawValue: UInt32(POLLERR))
  /// The other end is gone. Found without being asked for.
  package static let hangup = PollEvents(rawValue: UInt32(POLLHUP))
}

/// A descriptor being watched. Level-triggered: the body is called again while the condition
/// holds, so it must consume it, update or cancel (libcurl and pidfds expect this; an edge would
/// be lost by a reader that stops before EAGAIN). A descriptor that cannot be watched gives
/// `.error` once, and the registration has ended.
package final class PollRegistration: RingClient {
  package let descriptor: Int32
  package private(set) var events: PollEvents
  private let loop: EventLoop
  private var body: ((PollEvents) -> Void)?
  private var armed: OperationID?
  private var isUpdating = false

  init(
    loop: EventLoop, descriptor: Int32, events: PollEvents, body: @escaping (PollEvents) -> Void
  ) {
    self.loop = loop
    self.descriptor = descriptor
    self.events = events
    self.body = body
    arm()
  }

  /// Waits for `events` from now on; none pauses the registration.
  package func update(_ events: PollEvents) {
    guard body != nil, events != self.events else { return }
    self.events = events
    guard let armed else { return arm() }
    // The completion of the old operation arms the new one.
    if !isUpdating { loop.cancel(armed) }
    isUpdating = true
  }

  /// Ends it: the body is never called again, also when an event is on its way. The descriptor
  /// may be closed right after.
  package func cancel() {
    guard body != nil else { return }
    body = nil
    if let armed, !isUpdating { loop.cancel(armed) }
  }

  private func arm() {
    guard body != nil, !events.isEmpty else { return }
    armed = loop.submit(self, .poll(descriptor: descriptor, events: events.rawValue))
  }

  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    armed = nil
    isUpdating = false
    switch result {
    case 0...:
      // After an update only what is still asked for counts; errors always do.
      let found = PollEvents(rawValue: UInt32(result))
      let wanted = found.intersection(events.union([.error, .hangup]))
      if !wanted.isEmpty { body?(wanted) }
    case -ECANCELED, -EINTR, -EAGAIN: break
    default:
      // Not a descriptor that can be watched; watching it again would only say so again.
      let body = body
      self.body = nil
      body?(.error)
    }
    if armed == nil { arm() }
  }

  func abandoned() { body = nil }
}

extension EventLoop {
  /// Calls `body` on every turn in which one of `events` holds for `descriptor` (level-triggered),
  /// until the registration is cancelled.
  package func poll(
    descriptor: Int32, events: PollEvents, _ body: @escaping (PollEvents) -> Void
  ) -> PollRegistration {
    PollRegistration(loop: self, descriptor: descriptor, events: events, body: body)
  }
}
