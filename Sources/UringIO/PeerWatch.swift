import Base
import CLinux

/// Tells the owner of a socket whose receiving is paused that its peer has reset the connection:
/// without a receive in the kernel nobody else would. An ordinary end is not told: there may be
/// bytes before it, which the owner gets when it resumes.
final class PeerWatch {
  private let loop: EventLoop
  private let descriptor: Int32
  private let body: (Int32) -> Void
  private var isPaused = false
  private var timer: (any Cancellable)?
  private var registration: PollRegistration?

  /// Pauses are mostly short: only one that lasts is worth an operation.
  private static let pauseMin = Nanoseconds.milliseconds(200)

  /// `body` is called with the error number.
  init(loop: EventLoop, descriptor: Int32, _ body: @escaping (Int32) -> Void) {
    self.loop = loop
    self.descriptor = descriptor
    self.body = body
  }

  func paused() {
    isPaused = true
    guard timer == nil, registration == nil else { return }
    timer = loop.schedule(after: Self.pauseMin) { [weak self] in self?.watch() }
  }

  func resumed() {
    isPaused = false
    registration?.cancel()
    registration = nil
  }

  /// Before the descriptor is closed.
  func close() {
    resumed()
    timer?.cancel()
    timer = nil
  }

  private func watch() {
    timer = nil
    guard isPaused else { return }
    // A failed connection hangs up.
    registration = loop.poll(descriptor: descriptor, events: .hangup) { [weak self] _ in
      self?.hungUp()
    }
  }

  private func hungUp() {
    // Once: a hang-up holds from then on.
    resumed()
    let error = kfm_socket_error(descriptor)
    if error != 0 { body(error) }
  }
}
