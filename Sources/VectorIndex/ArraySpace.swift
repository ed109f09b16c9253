import Glibc

/// Address space for one array, reserved at once and filled from its start: growing moves nothing,
/// so readers keep their addresses and no addition ever waits for a copy. Pages that were never
/// touched take no memory; what lies beyond the first 2 MiB is of huge pages where the system
/// gives them. To make a huge page takes milliseconds, so the one that growth comes to next is made
/// by a thread of its own, before anybody waits for it.
final class ArraySpace<Element: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Element>
  let reservedBytes: Int
  /// Where the last page that was made ahead ends.
  private(set) var preparedBytes = 0

  private static var hugePageBytes: Int { 2 << 20 }
  /// Bytes before the end of a page from which the next one is made.
  private static var preparedFrom: Int { hugePageBytes / 4 }
  /// MADV_POPULATE_WRITE of Linux 5.14; older ones refuse it, and pages are made as they are used.
  private static var populateWrite: CInt { 23 }

  /// Nil where the process may not have that much address space.
  init?(reserving elements: Int) {
    let wanted = max(1, elements) * MemoryLayout<Element>.stride
    // One page more, to begin at a multiple of a huge page.
    reservedBytes = (wanted + Self.hugePageBytes - 1) / Self.hugePageBytes * Self.hugePageBytes
    let mapped = mmap(
      nil, reservedBytes + Self.hugePageBytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { return nil }
    let address = Int(bitPattern: mapped)
    let start = (address + Self.hugePageBytes - 1) / Self.hugePageBytes * Self.hugePageBytes
    if start > address { munmap(mapped, start - address) }
    let rest = address + Self.hugePageBytes - start
    if rest > 0 { munmap(mapped + (start - address) + reservedBytes, rest) }
    base = UnsafeMutableRawPointer(bitPattern: start)!.bindMemory(
      to: Element.self, capacity: elements)
    // A small array is not worth a huge page.
    if reservedBytes > Self.hugePageBytes {
      madvise(
        UnsafeMutableRawPointer(base) + Self.hugePageBytes, reservedBytes - Self.hugePageBytes,
        MADV_HUGEPAGE)
    }
  }

  deinit { munmap(base, reservedBytes) }

  /// Says that more elements will follow the first `elements`, one by one.
  func prepareGrowth(beyond elements: Int) {
    let used = elements * MemoryLayout<Element>.stride
    let next = (used / Self.hugePageBytes + 1) * Self.hugePageBytes
    let end = next + Self.hugePageBytes
    guard next - used <= Self.preparedFrom, end > preparedBytes, end <= reservedBytes else {
      return
    }
    preparedBytes = end
    // The thread holds the space, so it stays mapped as long as that takes.
    let space = Unchecked(self)
    NativeThread.start {
      madvise(
        UnsafeMutableRawPointer(space.value.base) + next, Self.hugePageBytes, Self.populateWrite)
    }
  }

  func bytes(_ elements: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: elements * MemoryLayout<Element>.stride)
  }
}
