import Glibc

/// A file mapped read-only. Whoever replaces such a file must rename another over it: a file that
/// is cut short under its mapping ends the process.
package final class MappedFile: @unchecked Sendable {
  // Sendable because nothing changes between init and deinit.
  private let bytes: UnsafeRawBufferPointer

  package init(path: String) throws(MemoryError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(call: "open", path: path, errno: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .system(call: "fstat", path: path, errno: errno)
    }
    guard status.st_size > 0 else { throw .malformed(path: path, reason: "the file is empty") }
    let length = Int(status.st_size)
    guard let base = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0),
      base != UnsafeMutableRawPointer(bitPattern: -1)
    else { throw .system(call: "mmap", path: path, errno: errno) }
    bytes = UnsafeRawBufferPointer(start: base, count: length)
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }

  package var count: Int { bytes.count }

  /// The content; the pointer ends with the call, as the mapping may.
  @inline(__always)
  package func withBytes<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    defer { withExtendedLifetime(self) {} }
    return try body(bytes)
  }

  /// Gives the pages back to the kernel's cache; they come again when they are read.
  package func release() {
    madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count, MADV_DONTNEED)
  }
}
