package import Base
import Glibc
package import UringIO

/// A loop on the test's own thread: start something, run until it has happened. Never sleeps
/// longer than it must, and gives up after a deadline instead of hanging the test run.
package struct LoopHarness {
  package let loop: EventLoop

  /// Ample on a loaded machine; a test that meets its condition never waits for it.
  package static let deadline = Nanoseconds.seconds(60)

  /// Runs `body` with a new loop of this kind; see below.
  @discardableResult
  package static func run<T>(
    _ io: IOKind, options: EventLoopOptions = EventLoopOptions(),
    _ body: (LoopHarness) throws -> T
  ) throws -> T {
    var options = options
    options.io = io == .uring ? .uring : .epoll
    return try run(options: options, body)
  }

  /// Runs `body` with a new loop, and closes the loop afterwards. The body is synchronous, so all
  /// of it stays on the loop's thread.
  @discardableResult
  package static func run<T>(
    options: EventLoopOptions = EventLoopOptions(), clock: any Clock = SystemClock(),
    _ body: (LoopHarness) throws -> T
  ) throws -> T {
    var options = options
    if options.io == .auto { options.io = preferredIO }
    let loop = try EventLoop(options: options, clock: clock)
    defer { loop.close() }
    return try body(LoopHarness(loop: loop))
  }

  /// `KFM_TEST_IO` sends whole suites that do not choose through one back-end.
  private static let preferredIO: IOChoice = {
    guard let name = getenv("KFM_TEST_IO") else { return .auto }
    return IOChoice(rawValue: String(cString: name)) ?? .auto
  }()

  /// Runs the loop until `condition` holds; false when the deadline passed first.
  package func until(
    deadline: Nanoseconds = LoopHarness.deadline, _ condition: () -> Bool
  ) -> Bool {
    loop.runUntil(condition, deadline: deadline)
  }
}

extension LoopHarness {
  /// As `until`, for what changes outside the loop and wakes nobody: looks again every few
  /// milliseconds.
  package func untilSeen(_ condition: () -> Bool) -> Bool {
    let ticker = Ticker(loop)
    defer { ticker.cancel() }
    return until(condition)
  }

  private final class Ticker: Cancellable {
    private let loop: EventLoop
    private var timer: (any Cancellable)?

    init(_ loop: EventLoop) {
      self.loop = loop
      tick()
    }

    func cancel() { timer?.cancel() }

    private func tick() {
      timer = loop.schedule(after: .milliseconds(5)) { [weak self] in self?.tick() }
    }
  }
}
