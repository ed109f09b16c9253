import Glibc

/// A value behind a lock that ThreadSanitizer can see: `Synchronization.Mutex` waits on a futex of
/// its own, which the sanitizer takes for no lock at all and reports every use as a race.
// Sendable because `mutex` is held whenever `value` is touched.
final class Locked<Value>: @unchecked Sendable {
  private var value: Value
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>

  init(_ value: Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(changed)
    mutex.deallocate()
    changed.deallocate()
  }

  func withLock<T>(_ body: (inout Value) -> T) -> T {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }

  /// Calls `body` again after every `notify`, until it gives a result.
  func wait<T>(_ body: (inout Value) -> T?) -> T {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&value) { return result }
      pthread_cond_wait(changed, mutex)
    }
  }

  func notifyOne() { pthread_cond_signal(changed) }
  func notifyAll() { pthread_cond_broadcast(changed) }
}
