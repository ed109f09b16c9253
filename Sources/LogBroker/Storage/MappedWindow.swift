import CLinux
import Glibc
import Iggy

/// A file of which parts are mapped to be stored to, with a descriptor of its own: it may be worked
/// on by another thread while the file is closed.
///
/// No store can end the process by SIGBUS: the file is never cut, the blocks have room on the disk,
/// the file system writes them where they are, and the pages are locked in memory, so that none has
/// to be read again.
final class WindowedFile: Sendable {
  private let descriptor: Int32
  private let path: String

  init(sharing descriptor: Int32, _ path: String) {
    self.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    self.path = path
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Maps `range` and makes its pages ready. Waits for the disk where need be.
  func map(_ range: Range<Int>) throws(StorageFailure) -> Mapping {
    try check(range)
    let flags = MAP_SHARED | MAP_LOCKED
    let start = mmap(
      nil, range.count, PROT_READ | PROT_WRITE, flags, descriptor, off_t(range.lowerBound))
    guard let start, start != UnsafeMutableRawPointer(bitPattern: -1) else {
      throw StorageFailure(errno, "mmap", path)
    }
    let mapping = Mapping(UnsafeMutableRawBufferPointer(start: start, count: range.count), range)
    // The first fault would change the file's times, which may wait for the disk: not while it
    // keeps this process's other threads from mapping memory.
    futimens(descriptor, nil)
    while madvise(start, range.count, Self.populateWrite) != 0 {
      if errno != EINTR { throw StorageFailure(errno, "populate", path) }
    }
    return mapping
  }

  /// Whether all of it has room on a disk that writes in place.
  private func check(_ range: Range<Int>) throws(StorageFailure) {
    var status = stat()
    if fstat(descriptor, &status) != 0 { throw StorageFailure(errno, "stat", path) }
    guard Self.inPlace.contains(kfm_file_system(descriptor)), range.upperBound <= status.st_size,
      Int(status.st_blocks) * 512 >= Int(status.st_size)
    else { throw StorageFailure(EOPNOTSUPP, "map", path) }
  }

  /// ext4 and XFS (statfs(2)).
  private static let inPlace: Set<UInt64> = [0xEF53, 0x5846_5342]
  /// MADV_POPULATE_WRITE (madvise(2), Linux 5.14): errors come back as such.
  private static let populateWrite: Int32 = 23
}

/// Mapped pages; unmapped by whoever lets go of them last.
final class Mapping: Sendable {
  nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer
  /// In the file.
  let range: Range<Int>

  init(_ bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>) {
    self.bytes = bytes
    self.range = range
  }

  deinit { munmap(bytes.baseAddress, bytes.count) }
}

final class MappedWindow: FileWindow {
  let range: Range<Int>
  private var mapping: Mapping?
  private let calls: BlockingCalls

  init(_ mapping: Mapping, _ calls: BlockingCalls) {
    range = mapping.range
    self.mapping = mapping
    self.calls = calls
  }

  func store(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    mapping!.bytes.slice(offset - range.lowerBound..<offset - range.lowerBound + bytes.count)
      .copyMemory(from: bytes)
  }

  /// Unmapping takes longer than a store; another thread has the time.
  func close() {
    guard let last = mapping.take() else { return }
    calls.run({ () throws(StorageFailure) in withExtendedLifetime(last) {} }) { _ in }
  }
}
