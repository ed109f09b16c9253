import Glibc

/// One operation on a file, from its submission to its completion.
class FileOperation: RingClient {
  let file: File
  private var isDone = false

  init(file: File) { self.file = file }

  /// Queues what is left to do.
  func submit() { preconditionFailure("every file operation submits something") }
  /// Takes a result that is no failure.
  func advance(_ count: Int) { preconditionFailure("every file operation advances") }
  /// Calls the completion.
  func finish(_ failure: IOFailure?) { preconditionFailure("every file operation finishes") }

  func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    switch result {
    case -EINTR, -EAGAIN: submit()
    case ..<0: end(failure(operation, -result))
    default: advance(Int(result))
    }
  }

  final func end(_ failure: IOFailure?) {
    isDone = true
    file.ended()
    finish(failure)
  }

  final func failure(_ operation: Operation, _ code: Int32) -> IOFailure {
    let name = operation == .sync ? "fdatasync" : "\(operation)"
    return IOFailure(code: code, operation: name, subject: file.path)
  }

  final func abandoned() {
    guard !isDone else { return }
    isDone = true
    file.ended()
  }
}

/// Reads until the buffer is full or the file ends.
final class FileRead: FileOperation {
  private let offset: UInt64
  private let buffer: UnsafeMutableRawBufferPointer
  private var filled = 0
  private let completion: (Result<Int, IOFailure>) -> Void

  /// Most bytes of one read: the kernel itself stops a little under 2 GiB.
  private static let bytesMax = 1 << 30

  init(
    file: File, offset: UInt64, buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, IOFailure>) -> Void
  ) {
    self.offset = offset
    self.buffer = buffer
    self.completion = completion
    super.init(file: file)
  }

  override func submit() {
    let rest = UnsafeMutableRawBufferPointer(
      rebasing: buffer[filled...].prefix(Self.bytesMax))
    file.loop.submit(
      self, .read(descriptor: file.descriptor, buffer: rest, offset: offset + UInt64(filled)))
  }

  override func advance(_ count: Int) {
    filled += count
    if count == 0 || filled == buffer.count { end(nil) } else { submit() }
  }

  override func finish(_ failure: IOFailure?) {
    completion(failure.map { .failure($0) } ?? .success(filled))
  }
}

/// Writes until nothing is left; with `syncs` the last write is linked to an fdatasync, which the
/// kernel runs only after the whole of it.
final class FileWrite: FileOperation {
  private var offset: UInt64
  /// What is to be written, from `next` on.
  private let pieces: UnsafeMutableBufferPointer<iovec>
  private var next = 0
  private let kept: [UInt8]
  private let syncs: Bool
  /// The result of a write whose linked sync has not completed yet.
  private var linkedResult: Int32?
  private let completion: (Result<Void, IOFailure>) -> Void

  /// Most buffers of one write (IOV_MAX).
  private static let piecesMax = 1_024

  /// `kept` is held until the kernel is done; `pieces` may point into it.
  init(
    file: File, offset: UInt64, pieces: [iovec], keeping kept: [UInt8], syncs: Bool,
    completion: @escaping (Result<Void, IOFailure>) -> Void
  ) {
    self.offset = offset
    self.pieces = .allocate(capacity: pieces.count)
    _ = self.pieces.initialize(from: pieces)
    self.kept = kept
    self.syncs = syncs
    self.completion = completion
    super.init(file: file)
  }

  deinit { pieces.deallocate() }

  private var isLast: Bool { pieces.count - next <= Self.piecesMax }

  override func submit() {
    guard syncs, isLast else { return submitWrite(linked: false) }
    file.loop.submitLinked {
      submitWrite(linked: true)
      file.loop.submit(self, .sync(descriptor: file.descriptor))
    }
  }

  private func submitWrite(linked: Bool) {
    let rest = UnsafeBufferPointer(rebasing: pieces[next...].prefix(Self.piecesMax))
    file.loop.submit(
      self, .write(descriptor: file.descriptor, pieces: rest, offset: offset), linked: linked)
  }

  override func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    guard syncs, linkedResult != nil || isLast else {
      return super.completed(operation, result: result, flags: flags)
    }
    // The write completes first; a short or failed one cancels the sync behind it.
    guard operation == .sync else { return linkedResult = result }
    let written = linkedResult ?? -EIO
    linkedResult = nil
    if written < 0 || result == -ECANCELED {
      super.completed(.write, result: written, flags: [])
    } else if result < 0 {
      // Never tried again, also not after EINTR: what failed to sync may be gone from memory.
      end(failure(.sync, -result))
    } else {
      advance(Int(written))
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
      end(failure(.write, EIO))
    } else {
      submit()
    }
  }

  override func finish(_ failure: IOFailure?) {
    completion(failure.map { .failure($0) } ?? .success(()))
  }
}

final class FileSync: FileOperation {
  private let completion: (Result<Void, IOFailure>) -> Void

  init(file: File, completion: @escaping (Result<Void, IOFailure>) -> Void) {
    self.completion = completion
    super.init(file: file)
  }

  override func submit() {
    file.loop.submit(self, .sync(descriptor: file.descriptor))
  }

  override func completed(_ operation: Operation, result: Int32, flags: CompletionFlags) {
    // Never tried again, also not after EINTR: what failed to sync may be gone from memory.
    end(result < 0 ? failure(.sync, -result) : nil)
  }

  override func finish(_ failure: IOFailure?) {
    completion(failure.map { .failure($0) } ?? .success(()))
  }
}

extension iovec {
  init(_ buffer: UnsafeRawBufferPointer) {
    self.init(
      iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count)
  }
}
