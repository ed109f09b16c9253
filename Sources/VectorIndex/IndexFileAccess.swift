import CVector
import Glibc

/// A file descriptor that closes itself; each call retries what a signal interrupted.
struct IndexFileAccess: ~Copyable {
  private let descriptor: Int32
  private let path: String

  init(opening path: String, flags: Int32) throws(IndexFileError) {
    self.path = path
    descriptor = open(path, flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system(call: "open", path: path, errno: errno) }
  }

  deinit { close(descriptor) }

  func size() throws(IndexFileError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure("fstat") }
    return Int(status.st_size)
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(IndexFileError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = Glibc.write(
        descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if written < 0 {
        guard errno == EINTR else { throw failure("write") }
      } else {
        rest = rest.dropFirst(written)
      }
    }
  }

  /// Fills `buffer` from `offset`; false when the file ends before.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(IndexFileError)
    -> Bool
  {
    var filled = 0
    while filled < buffer.count {
      let got = pread(
        descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
      if got == 0 { return false }
      if got < 0 {
        guard errno == EINTR else { throw failure("read") }
      } else {
        filled += got
      }
    }
    return true
  }

  func synchronize() throws(IndexFileError) {
    guard fsync(descriptor) == 0 else { throw failure("fsync") }
  }

  private func failure(_ call: String) -> IndexFileError {
    .system(call: call, path: path, errno: errno)
  }

  /// Replaces the file at `path` by what `write` writes: a reader, and the next start after a
  /// crash, finds the old file or the new one. One writer a path at a time.
  static func replace(
    _ path: String, _ write: (borrowing IndexFileAccess) throws(IndexFileError) -> Void
  ) throws(IndexFileError) {
    let temporary = path + ".tmp"
    do throws(IndexFileError) {
      let file = try IndexFileAccess(
        opening: temporary, flags: O_WRONLY | O_CREAT | O_TRUNC)
      try write(file)
      try file.synchronize()
      guard rename(temporary, path) == 0 else {
        throw IndexFileError.system(call: "rename", path: path, errno: errno)
      }
    } catch {
      unlink(temporary)
      throw error
    }
    // The new name is durable only when its directory is.
    let directory = try IndexFileAccess(
      opening: parent(of: path), flags: O_RDONLY | O_DIRECTORY)
    try directory.synchronize()
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
