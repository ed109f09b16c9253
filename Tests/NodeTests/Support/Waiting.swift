import Foundation
import Synchronization

/// Waiting for what happens in other processes and threads: by looking, with a deadline.
enum Waiting {
  struct TimedOut: Error, CustomStringConvertible {
    var description: String
  }

  static func until(
    _ what: String, seconds: Double = 30, _ condition: () throws -> Bool
  ) throws {
    let end = Date(timeIntervalSinceNow: seconds)
    while try !condition() {
      guard Date() < end else { throw TimedOut(description: "not within \(seconds) s: \(what)") }
      usleep(5_000)
    }
  }
}

/// A value that threads share.
final class Shared<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>

  init(_ value: Value) { mutex = Mutex(value) }

  var value: Value { mutex.withLock { $0 } }

  func change(_ body: (inout Value) -> Void) { mutex.withLock { body(&$0) } }
}

/// Blocking work on threads of its own.
enum Threads {
  /// Starts `body`; the returned function waits for its end.
  static func start(_ body: @escaping @Sendable () -> Void) -> () throws -> Void {
    let isDone = Shared(false)
    Thread.detachNewThread {
      body()
      isDone.change { $0 = true }
    }
    return { try Waiting.until("a thread's end", seconds: 60) { isDone.value } }
  }
}
