package import Base
package import UringIO

/// A loop on the test's own thread: start something, run until it has happened. Never sleeps
/// longer than it must, and gives up after a deadline instead of hanging the test run.
package struct LoopHarness {
  package let loop: EventLoop

  /// Ample on a loaded machine; a test that meets its condition never waits for it.
  package static let deadline = Nanoseconds.seconds(10)

  /// Runs `body` with a new loop, and closes the loop afterwards. The body is synchronous, so all
  /// of it stays on the loop's thread.
  @discardableResult
  package static func run<T>(
    options: EventLoopOptions = EventLoopOptions(), _ body: (LoopHarness) throws -> T
  ) throws -> T {
    let loop = try EventLoop(options: options)
    defer { loop.close() }
    return try body(LoopHarness(loop: loop))
  }

  /// Runs the loop until `condition` holds; false when the deadline passed first.
  package func until(
    deadline: Nanoseconds = LoopHarness.deadline, _ condition: () -> Bool
  ) -> Bool {
    loop.runUntil(condition, deadline: deadline)
  }
}
