import Glibc

/// Runs one body on several threads at once and waits for all; the caller's thread is the first.
enum WorkerThreads {
  /// More than any machine this is meant for; a typing error must not start a million.
  static let countMax = 256

  /// Calls `body` with 0..<`count`, each on its own thread; a thread that cannot be had leaves its
  /// part to the caller's.
  static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    var threads: [pthread_t] = []
    var leftOver: [Int] = [0]
    for part in 1..<max(count, 1) {
      let work = Unmanaged.passRetained(Work { body(part) })
      var thread = pthread_t()
      let result = pthread_create(
        &thread, nil,
        { argument in
          Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
          return nil
        }, work.toOpaque())
      if result == 0 {
        threads.append(thread)
      } else {
        work.release()
        leftOver.append(part)
      }
    }
    for part in leftOver { body(part) }
    for thread in threads { pthread_join(thread, nil) }
  }

  /// The `part`-th of `parts` pieces of `0..<count`, as even as can be.
  static func share(_ part: Int, of parts: Int, count: Int) -> Range<Int> {
    count * part / parts..<count * (part + 1) / parts
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
