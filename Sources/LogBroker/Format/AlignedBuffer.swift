import Glibc

/// Memory that begins at a page, as large writes want it. Grows on demand; large memory goes back
/// to the system at once, where malloc would keep it.
final class AlignedBuffer {
  private(set) var bytes: UnsafeMutableRawBufferPointer

  /// From this size on pages are mapped.
  private static let mappedBytesMin = 256 << 10

  init(capacity: Int) { bytes = Self.allocate(capacity) }

  deinit { Self.free(bytes) }

  /// Makes room for `capacity` bytes; what was inside is lost.
  func reserve(_ capacity: Int) {
    guard capacity > bytes.count else { return }
    Self.free(bytes)
    bytes = Self.allocate(capacity)
  }

  /// Gives memory beyond `capacity` back; what was inside is lost.
  func shrink(to capacity: Int) {
    guard bytes.count > capacity else { return }
    Self.free(bytes)
    bytes = Self.allocate(capacity)
  }

  static func allocate(_ capacity: Int) -> UnsafeMutableRawBufferPointer {
    guard capacity >= mappedBytesMin else {
      return .allocate(byteCount: capacity, alignment: LogLimits.blockBytes)
    }
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    let start = mmap(nil, capacity, PROT_READ | PROT_WRITE, flags, -1, 0)
    precondition(start != UnsafeMutableRawPointer(bitPattern: -1), "out of memory")
    return UnsafeMutableRawBufferPointer(start: start, count: capacity)
  }

  static func free(_ bytes: UnsafeMutableRawBufferPointer) {
    if bytes.count >= mappedBytesMin {
      munmap(bytes.baseAddress, bytes.count)
    } else {
      bytes.deallocate()
    }
  }
}
