import CLinux
import CURing
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
        file: self, offset: offset, pieces: pieces, keeping: bytes, completion: completion))
  }

  /// Writes all of `buffers`, one after the other, at `offset`. They must stay valid until the
  /// completion.
  package func write(
    at offset: UInt64, _ buffers: [UnsafeRawBufferPointer],
    completion: @escaping (Result<Void, IOFailure>) -> Void
  ) {
    let pieces = buffers.filter { !$0.isEmpty }.map(iovec.init)
    start(
      FileWrite(file: self, offset: offset, pieces: pieces, keeping: [], completion: completion))
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

  private func start(_ operation: FileOperation) {
    precondition(!isClosed, "the file \(path) is used after close()")
    operations += 1
    operation.submit()
  }

  fileprivate func ended() {
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
    return File(loop: self, descriptor: descriptor, path: path)
  }
}

/// One operation on a file, from its submission to its completion.
private class FileOperation: RingClient {
  let file: File
  private let name: String
  private(set) var isDone = false

  init(file: File, name: String) {
    self.file = file
    self.name = name
  }

  func submit() { fatalError("every file operation submits something") }
  func advance(_ count: Int) { fatalError("every file operation advances") }
  func finish(_ failure: IOFailure?) { fatalError("every file operation finishes") }

  final func completed(_ operation: Operation, result: Int32, flags: UInt32) {
    switch result {
    case -EINTR, -EAGAIN: submit()
    case ..<0: end(IOFailure(code: -result, operation: name, subject: file.path))
    default: advance(Int(result))
    }
  }

  final func end(_ failure: IOFailure?) {
    isDone = true
    file.ended()
    finish(failure)
  }

  final func abandoned() {
    if !isDone { file.ended() }
    isDone = true
  }
}

private final class FileRead: FileOperation {
  private let offset: UInt64
  private let buffer: UnsafeMutableRawBufferPointer
  private var filled = 0
  private let completion: (Result<Int, IOFailure>) -> Void

  init(
    file: File, offset: UInt64, buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, IOFailure>) -> Void
  ) {
    self.offset = offset
    self.buffer = buffer
    self.completion = completion
    super.init(file: file, name: "read")
  }

  override func submit() {
    file.loop.submit(self, .read) { entry in
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
      io_uring_prep_read(
        entry, file.descriptor, rest.baseAddress, UInt32(min(rest.count, ioBytesMax)),
        offset + UInt64(filled))
    }
  }

  override func advance(_ count: Int) {
    filled += count
    if count == 0 || filled == buffer.count { end(nil) } else { submit() }
  }

  override func finish(_ failure: IOFailure?) {
    completion(failure.map { .failure($0) } ?? .success(filled))
  }
}

private final class FileWrite: FileOperation {
  private var offset: UInt64
  /// What is left to write, from `next` on.
  private let pieces: UnsafeMutableBufferPointer<iovec>
  private var next = 0
  private let kept: [UInt8]
  private let completion: (Result<Void, IOFailure>) -> Void

  init(
    file: File, offset: UInt64, pieces: [iovec], keeping kept: [UInt8],
    completion: @escaping (Result<Void, IOFailure>) -> Void
  ) {
    self.offset = offset
    self.pieces = .allocate(capacity: pieces.count)
    _ = self.pieces.initialize(from: pieces)
    self.kept = kept
    self.completion = completion
    super.init(file: file, name: "write")
  }

  deinit { pieces.deallocate() }

  override func submit() {
    file.loop.submit(self, .write) { entry in
      if next == pieces.count { return io_uring_prep_nop(entry) }
      io_uring_prep_writev(
        entry, file.descriptor, pieces.baseAddress! + next,
        UInt32(min(pieces.count - next, piecesMax)), offset)
    }
  }

  override func advance(_ count: Int) {
    offset += UInt64(count)
    var left = count
    while next < pieces.count, left >= pieces[next].iov_len {
      left -= pieces[next].iov_len
      next += 1
    }
    if left > 0 {
      pieces[next].iov_base += left
      pieces[next].iov_len -= left
    }
    if next == pieces.count {
      end(nil)
    } else if count == 0 {
      // A regular file takes at least one byte or fails; do not spin on one that does neither.
      end(IOFailure(code: EIO, operation: "write", subject: file.path))
    } else {
      submit()
    }
  }

  override func finish(_ failure: IOFailure?) {
    completion(failure.map { .failure($0) } ?? .success(()))
  }
}

private final class FileSync: FileOperation {
  private let completion: (Result<Void, IOFailure>) -> Void

  init(file: File, completion: @escaping (Result<Void, IOFailure>) -> Void) {
    self.completion = completion
    super.init(file: file, name: "fdatasync")
  }

  override func submit() {
    file.loop.submit(self, .sync) { entry in
      io_uring_prep_fsync(entry, file.descriptor, UInt32(IORING_FSYNC_DATASYNC))
    }
  }

  override func advance(_ count: Int) { end(nil) }

  override func finish(_ failure: IOFailure?) {
    completion(failure.map { .failure($0) } ?? .success(()))
  }
}

/// Most bytes of one read: the kernel itself stops a little under 2 GiB.
private let ioBytesMax = 1 << 30
/// Most buffers of one writev (IOV_MAX).
private let piecesMax = 1_024

extension iovec {
  fileprivate init(_ buffer: UnsafeRawBufferPointer) {
    self.init(
      iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count)
  }
}
