import Glibc

/// A POSIX thread. Searches and builds of this library never run on Swift's cooperative threads.
enum NativeThread {
  private final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Runs `body` on a detached thread of its own; on the calling one where none can be had.
  static func start(_ body: @escaping @Sendable () -> Void) {
    guard let thread = make(body) else { return body() }
    pthread_detach(thread)
  }

  /// Runs `body(0)`…`body(count - 1)` at once, the first on the calling thread; returns when all
  /// have returned.
  static func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    var threads: [pthread_t] = []
    for number in stride(from: 1, to: count, by: 1) {
      if let thread = make({ body(number) }) { threads.append(thread) } else { body(number) }
    }
    body(0)
    for thread in threads { pthread_join(thread, nil) }
  }

  private static func make(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let result = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, box.toOpaque())
    guard result == 0 else {
      box.release()
      return nil
    }
    return thread
  }
}
