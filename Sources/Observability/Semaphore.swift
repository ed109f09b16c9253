import Base
import Glibc

/// A counting semaphore between threads; POSIX gives it, without a lock held while waiting.
final class Semaphore: @unchecked Sendable {
  // Unchecked: sem_t is made for use from several threads, and its address never changes.
  private let handle = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() { sem_init(handle, 0, 0) }

  deinit {
    sem_destroy(handle)
    handle.deallocate()
  }

  func signal() { sem_post(handle) }

  func wait() {
    while sem_wait(handle) != 0 && errno == EINTR {}
  }

  /// False when `timeout` passed first.
  func wait(timeout: Nanoseconds) -> Bool {
    var end = timespec()
    clock_gettime(CLOCK_REALTIME, &end)
    let nanoseconds = Int64(end.tv_nsec) + timeout.count
    end.tv_sec += Int(nanoseconds / 1_000_000_000)
    end.tv_nsec = Int(nanoseconds % 1_000_000_000)
    while sem_timedwait(handle, &end) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }
}
