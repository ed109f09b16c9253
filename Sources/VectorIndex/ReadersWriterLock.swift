import Glibc

/// Many readers or one writer. The only reason it is a class is that a pthread lock must not move.
final class ReadersWriterLock: @unchecked Sendable {
  // Sendable by what it is: the pointer never changes, and the kernel's lock behind it is made
  // for use from any thread.
  private let lock: UnsafeMutablePointer<pthread_rwlock_t>

  init() {
    lock = .allocate(capacity: 1)
    lock.initialize(to: pthread_rwlock_t())
    let result = pthread_rwlock_init(lock, nil)
    precondition(result == 0, "pthread_rwlock_init failed")
  }

  deinit {
    pthread_rwlock_destroy(lock)
    lock.deallocate()
  }

  func read<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
    let result = pthread_rwlock_rdlock(lock)
    precondition(result == 0, "pthread_rwlock_rdlock failed")
    defer { pthread_rwlock_unlock(lock) }
    return try body()
  }

  func write<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
    let result = pthread_rwlock_wrlock(lock)
    precondition(result == 0, "pthread_rwlock_wrlock failed (a filter changed the index?)")
    defer { pthread_rwlock_unlock(lock) }
    return try body()
  }
}
