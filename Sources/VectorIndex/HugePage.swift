import Glibc
import Synchronization

/// 2 MiB of an array that the processor finds by one entry of its tables, not made yet.
struct HugePage: @unchecked Sendable {
  static let bytes = 2 << 20
  /// Bytes that are left of an array's last page when its next one is asked of `PageMaker`.
  static let askedFrom = bytes / 2
  /// Bytes that are left when whoever adds makes it: it would do so at the end in any case, and for
  /// several arrays at once.
  static let neededFrom = bytes / 8

  // Sendable because nothing but `made`, which is, is used through it: the owner is only kept.
  /// Keeps the address space.
  let owner: AnyObject
  let start: UnsafeMutableRawPointer
  /// Bytes from the start of the array to the end of the page.
  let end: Int
  let made: MadeBytes

  /// Where the last page of an array ends that was made ahead.
  final class MadeBytes: Sendable {
    private let end = Atomic(0)

    var bytes: Int { end.load(ordering: .relaxed) }

    func note(_ bytes: Int) { end.store(bytes, ordering: .relaxed) }
  }

  func make() {
    // Older kernels refuse it, and pages are made as they are used.
    madvise(start, Self.bytes, Self.populateWrite)
    made.note(end)
  }

  /// MADV_POPULATE_WRITE of Linux 5.14.
  private static let populateWrite: CInt = 23
}

/// Makes pages ahead of growth, one at a time, on a thread that leaves the processors to all others:
/// an addition that made one itself would take milliseconds longer than the next.
final class PageMaker: Sendable {
  private let isBusy = Atomic(false)

  /// Makes a page, where none is being made and a thread can be had.
  func take(_ page: @autoclosure () -> HugePage?) {
    guard !isBusy.load(ordering: .acquiring), let page = page() else { return }
    isBusy.store(true, ordering: .relaxed)
    let hasBegun = NativeThread.startInBackground { [self] in
      page.make()
      isBusy.store(false, ordering: .releasing)
    }
    if !hasBegun { isBusy.store(false, ordering: .relaxed) }
  }
}
