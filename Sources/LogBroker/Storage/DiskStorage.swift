import CLinux
import Glibc

/// Files under one directory, by system calls that block.
package final class DiskStorage: Storage, Sendable {
  /// Absolute, or relative to the working directory; without a slash at the end.
  package let root: String

  package init(root: String) { self.root = root }

  package func open(_ path: String, _ access: StorageAccess) throws(StorageFailure)
    -> any StorageFile
  { DiskFile(descriptor: try openDescriptor(path, access), path: path) }

  package func makeDirectory(_ path: String) throws(StorageFailure) {
    var partial = ""
    var refusal = ENOENT
    for part in absolute(path).split(separator: "/", omittingEmptySubsequences: false) {
      let parent = partial.isEmpty ? "." : partial
      partial += "\(part)/"
      if part.isEmpty { continue }
      guard mkdir(partial, 0o700) == 0 else {
        refusal = errno
        continue
      }
      // The log syncs the directories it makes inside; those above are this call's to keep.
      if path.isEmpty { try Self.syncDirectory(at: parent) }
    }
    var status = stat()
    guard stat(absolute(path), &status) == 0 else {
      throw StorageFailure(refusal, "mkdir", absolute(path))
    }
    if status.st_mode & S_IFMT != S_IFDIR {
      throw StorageFailure(ENOTDIR, "mkdir", absolute(path))
    }
  }

  package func rename(_ path: String, to target: String) throws(StorageFailure) {
    if Glibc.rename(absolute(path), absolute(target)) != 0 {
      throw StorageFailure(errno, "rename", path)
    }
  }

  package func remove(_ path: String) throws(StorageFailure) {
    if unlink(absolute(path)) != 0, errno != ENOENT {
      throw StorageFailure(errno, "unlink", path)
    }
  }

  package func identity(of path: String) throws(StorageFailure) -> UInt64? {
    var status = stat()
    if stat(absolute(path), &status) == 0 { return UInt64(status.st_ino) }
    if errno == ENOENT { return nil }
    throw StorageFailure(errno, "stat", path)
  }

  /// The kernel's; 0 where it gives none, as if the machine had never been started anew.
  package let bootID: UInt128 = {
    let descriptor = Glibc.open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return 0 }
    defer { Glibc.close(descriptor) }
    var text = [UInt8](repeating: 0, count: 64)
    let count = Glibc.read(descriptor, &text, text.count)
    let digits = String(decoding: text.prefix(max(0, count)), as: UTF8.self).filter(\.isHexDigit)
    return UInt128(digits, radix: 16) ?? 0
  }()

  package func syncDirectory(_ path: String) throws(StorageFailure) {
    try Self.syncDirectory(at: absolute(path))
  }

  private static func syncDirectory(at path: String) throws(StorageFailure) {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw StorageFailure(errno, "open", path) }
    defer { Glibc.close(descriptor) }
    // Not fdatasync: a new entry need not change the directory's size.
    if fsync(descriptor) != 0 { throw StorageFailure(errno, "fsync", path) }
  }

  package func lock(_ path: String) throws(StorageFailure) -> any StorageLock {
    let descriptor = Glibc.open(absolute(path), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StorageFailure(errno, "open", path) }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let failure = StorageFailure(errno, "lock", path)
      Glibc.close(descriptor)
      throw failure
    }
    return DescriptorLock(descriptor)
  }

  func absolute(_ path: String) -> String { path.isEmpty ? root : "\(root)/\(path)" }

  func openDescriptor(_ path: String, _ access: StorageAccess) throws(StorageFailure) -> Int32 {
    if access != .create { try checkIsFile(path) }
    let descriptor = Glibc.open(absolute(path), access.flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StorageFailure(errno, "open", path) }
    return descriptor
  }
}

extension DiskStorage {
  /// Where a directory, a pipe or a link to nowhere stands, the file is gone; opening a pipe would
  /// wait for ever.
  private func checkIsFile(_ path: String) throws(StorageFailure) {
    var status = stat()
    if stat(absolute(path), &status) == 0 {
      if status.st_mode & S_IFMT == S_IFREG { return }
    } else if errno != ELOOP {
      // Opening it tells.
      return
    }
    throw StorageFailure(.notFound, "open \(path): it is no file")
  }

  /// The same for writes past the page cache, where the file system can.
  func openDirectDescriptor(
    _ path: String, _ access: StorageAccess
  ) throws(StorageFailure) -> Int32 {
    let flags = access.flags | O_CLOEXEC | kfm_o_direct()
    let descriptor = Glibc.open(absolute(path), flags, 0o600)
    if descriptor >= 0 { return descriptor }
    if errno == EINVAL { return try openDescriptor(path, access) }
    throw StorageFailure(errno, "open", path)
  }
}

extension StorageAccess {
  /// Of open(2).
  var flags: Int32 {
    switch self {
    case .read: O_RDONLY
    case .write: O_RDWR
    case .create: O_RDWR | O_CREAT | O_TRUNC
    }
  }
}

/// flock(2): the kernel drops it with the last descriptor, however the process ends.
private final class DescriptorLock: StorageLock {
  private var descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { release() }

  func release() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }
}

/// An open file and its blocking calls.
final class DiskFile: StorageFile {
  let descriptor: Int32
  let path: String
  private var isClosed: Bool

  init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
    isClosed = false
  }

  /// Somebody else closes the descriptor.
  init(borrowing descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
    isClosed = true
  }

  deinit { close() }

  func size() throws(StorageFailure) -> Int {
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw StorageFailure(errno, "stat", path) }
    return Int(status.st_size)
  }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = pread(
        descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
      if count == 0 { break }
      if count > 0 {
        filled += count
      } else if errno != EINTR {
        throw StorageFailure(errno, "read", path)
      }
    }
    return filled
  }

  func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
    var written = 0
    while written < bytes.count {
      let count = pwrite(
        descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(offset + written))
      if count > 0 {
        written += count
      } else if count == 0 || errno != EINTR {
        throw StorageFailure(count == 0 ? EIO : errno, "write", path)
      }
    }
  }

  func truncate(to size: Int) throws(StorageFailure) {
    if ftruncate(descriptor, off_t(size)) != 0 { throw StorageFailure(errno, "truncate", path) }
  }

  func allocate(_ size: Int) throws(StorageFailure) {
    if kfm_fallocate(descriptor, UInt64(size)) != 0, errno != EOPNOTSUPP, errno != ENOSYS {
      throw StorageFailure(errno, "allocate", path)
    }
  }

  func sync() throws(StorageFailure) {
    if fdatasync(descriptor) != 0 { throw StorageFailure(errno, "fdatasync", path) }
  }

  func close() {
    if !isClosed { Glibc.close(descriptor) }
    isClosed = true
  }
}

extension StorageFailure {
  /// From an error number of the system.
  init(_ code: Int32, _ operation: String, _ path: String) {
    let kind: Kind =
      switch code {
      case ENOSPC, EDQUOT, EFBIG: .diskFull
      case EMFILE, ENFILE: .descriptors
      case ENOENT: .notFound
      case EWOULDBLOCK: .locked
      case EACCES, EPERM, EROFS, ENOTDIR, EEXIST, EISDIR: .denied
      default: .other
      }
    var text = [CChar](repeating: 0, count: 128)
    _ = strerror_r(code, &text, text.count)
    let words = text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    self.init(kind, "\(operation) \(path): \(words)")
  }
}
