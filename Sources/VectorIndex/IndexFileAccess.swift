import CVector
import Glibc

/// A file descriptor that closes itself; each call retries what a signal interrupted.
struct IndexFileAccess: ~Copyable {
  private let descriptor: Int32
  private let path: String

  init(opening path: String, flags: Int32) throws(IndexFileError) {
    self.path = path
    descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system(call: "open", path: path, errno: errno) }
  }

  deinit { close(descriptor) }

  /// Leads to this very file for as long as it is open.
  var reopenPath: String { "/proc/self/fd/\(descriptor)" }

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

  /// Writes from `offset` on, over what is there.
  func write(_ bytes: [UInt8], at offset: Int) throws(IndexFileError) {
    try bytes.withRawBytes { (bytes) throws(IndexFileError) in try write(bytes, at: offset) }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(IndexFileError) {
    var written = 0
    while written < bytes.count {
      let count = pwrite(
        descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(offset + written))
      if count < 0 {
        guard errno == EINTR else { throw failure("pwrite") }
      } else {
        written += count
      }
    }
  }

  /// Data, and as much of the inode as reading it back needs.
  func synchronizeData() throws(IndexFileError) {
    guard fdatasync(descriptor) == 0 else { throw failure("fdatasync") }
  }

  func truncate(to bytes: Int) throws(IndexFileError) {
    guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw failure("ftruncate") }
  }

  /// Maps the first `bytes` bytes, privately: what is written there stays in this process.
  func map(bytes: Int, protection: Int32) throws(IndexFileError) -> UnsafeMutableRawPointer {
    guard let base = mmap(nil, bytes, protection, MAP_PRIVATE, descriptor, 0),
      base != UnsafeMutableRawPointer(bitPattern: -1)
    else { throw failure("mmap") }
    return base
  }

  /// Maps `bytes` bytes from `offset`, privately, over the pages at `address`.
  func map(bytes: Int, from offset: Int, over address: UnsafeMutableRawPointer)
    throws(IndexFileError)
  {
    let mapped = mmap(
      address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, descriptor, off_t(offset))
    guard mapped == address else { throw failure("mmap") }
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
    _ path: String, _ write: (borrowing IndexFileAccess) throws(VectorIndexError) -> Void
  ) throws(VectorIndexError) {
    let temporary = path + ".tmp"
    do throws(VectorIndexError) {
      let file = try open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
      try write(file)
      do throws(IndexFileError) {
        try file.synchronize()
        guard rename(temporary, path) == 0 else {
          throw IndexFileError.system(call: "rename", path: path, errno: errno)
        }
      } catch { throw .file(error) }
    } catch {
      unlink(temporary)
      throw error
    }
    try synchronizeDirectory(of: path)
  }

  /// A new name is durable only when its directory is.
  static func synchronizeDirectory(of path: String) throws(VectorIndexError) {
    do throws(IndexFileError) {
      let directory = try IndexFileAccess(
        opening: parent(of: path), flags: O_RDONLY | O_DIRECTORY)
      try directory.synchronize()
    } catch { throw .file(error) }
  }

  private static func open(_ path: String, _ flags: Int32) throws(VectorIndexError)
    -> IndexFileAccess
  {
    do throws(IndexFileError) { return try IndexFileAccess(opening: path, flags: flags) } catch {
      throw .file(error)
    }
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
