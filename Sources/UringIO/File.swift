import CLinux
import Glibc

/// An open file, read and written through the ring. Several operations may be in flight; they
/// complete in any order.
package final class File {
  package let descriptor: Int32
  package let path: String
  let loop: EventLoop
  private var isClosed = false
  private var operations = 0

  init(loop: EventLoop, descriptor: Int32, path: String) {
    self.loop = loop
    self.descriptor = descriptor
    self.path = path
  }

  deinit { if !isClosed { Glibc.close(descriptor) } }

  /// Fills `buffer` from `offset` on; the count is short only at the end of the file. The buffer
  /// must stay valid until the completion.
  package func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, IOFailure>) -> Void
  ) {
    start(FileRead(file: self, offset: offset, buffer: buffer, completion: completion))
  }

  /// Writes all of `bytes` at `offset`.
  package func write(
    at offset: UInt64, _ bytes: [UInt8],
    completion: @escaping (Result<Void, IOFailure>) -> Void
  ) {
    let pieces = bytes.withUnsafeBytes { $0.isEmpty ? [] : [iovec($0)] }
    start(
      FileWrite(
        file: self, offset: offset, pieces: pieces, keeping: bytes, syncs: false,
        completion: completion))
  }

  /// Writes all of `buffers`, one after the other, at `offset`. They must stay valid until the
  /// completion.
  package func write(
    at offset: UInt64, _ buffers: [UnsafeRawBufferPointer],
    completion: @escaping (Result<Void, IOFailure>) -> Void
  ) {
    let pieces = buffers.filter { !$0.isEmpty }.map(iovec.init)
    start(
      FileWrite(
        file: self, offset: offset, pieces: pieces, keeping: [], syncs: false,
        completion: completion))
  }

  /// Writes all of `buffers` at `offset` and makes the file durable, in one submission: the kernel
  /// starts the fdatasync itself. They must stay valid until the completion. A failure says which
  /// of the two it was by its `operation` (`write`, `fdatasync`).
  package func writeAndSync(
    at offset: UInt64, _ buffers: [UnsafeRawBufferPointer],
    completion: @escaping (Result<Void, IOFailure>) -> Void
  ) {
    let pieces = buffers.filter { !$0.isEmpty }.map(iovec.init)
    start(
      FileWrite(
        file: self, offset: offset, pieces: pieces, keeping: [], syncs: true,
        completion: completion))
  }

  /// Makes everything written so far durable (fdatasync). Writes in flight are not covered. After
  /// a failure the kernel may have dropped what it could not write: never retry, fence the file.
  package func dataSync(completion: @escaping (Result<Void, IOFailure>) -> Void) {
    start(FileSync(file: self, completion: completion))
  }

  /// Reserves room on the device for `size` bytes and makes the file that long if it is shorter.
  /// Blocks for as long as the file system takes.
  package func allocate(size: UInt64) throws(IOFailure) {
    // posix_fallocate would write zeros where the file system cannot allocate; this one says so.
    if kfm_fallocate(descriptor, size) != 0 { throw .last("allocate", path) }
  }

  /// Cuts or extends the file. Blocks for as long as the file system takes.
  package func truncate(to size: UInt64) throws(IOFailure) {
    if ftruncate(descriptor, off_t(size)) != 0 { throw .last("truncate", path) }
  }

  /// Bytes in the file.
  package var size: UInt64 {
    get throws(IOFailure) {
      var status = stat()
      if fstat(descriptor, &status) != 0 { throw .last("stat", path) }
      return UInt64(status.st_size)
    }
  }

  /// Closes the descriptor once the operations in flight have completed.
  package func close() {
    guard !isClosed else { return }
    isClosed = true
    if operations == 0 { Glibc.close(descriptor) }
  }

  /// The descriptor, for calls that another thread makes: it stays open, also after `close`, until
  /// `takeBack`. Without that the number could be another file's when the thread comes to it.
  package func lend() -> Int32 {
    precondition(!isClosed, "the file \(path) is used after close()")
    operations += 1
    return descriptor
  }

  /// Nobody uses what was lent any more. Called on the loop, once for each `lend`.
  package func takeBack() { ended() }

  private func start(_ operation: FileOperation) {
    precondition(!isClosed, "the file \(path) is used after close()")
    operations += 1
    operation.submit()
  }

  /// An operation has completed.
  func ended() {
    operations -= 1
    if isClosed, operations == 0 { Glibc.close(descriptor) }
  }
}

extension EventLoop {
  /// Opens a file with the flags of open(2); the descriptor is closed on exec. Blocks for as long
  /// as the file system takes.
  package func openFile(path: String, flags: Int32, mode: UInt32) throws(IOFailure) -> File {
    let descriptor = open(path, flags | O_CLOEXEC, mode_t(mode))
    guard descriptor >= 0 else { throw .last("open", path) }
    return file(adopting: descriptor, path: path)
  }

  /// A file that somebody else has opened, perhaps on another thread: it is this one's to close.
  package func file(adopting descriptor: Int32, path: String) -> File {
    File(loop: self, descriptor: descriptor, path: path)
  }
}
