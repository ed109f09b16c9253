import Glibc

/// Address space for one array, reserved at once and filled from its start: growing moves nothing,
/// so readers keep their addresses and no addition ever waits for a copy. Pages that were never
/// touched take no memory; what lies beyond the first 2 MiB is of huge pages where the system
/// gives them. To make a huge page can take milliseconds: `pageToPrepare` says ahead of it which is
/// next, so that another thread makes it before an addition needs it.
final class ArraySpace<Element: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Element>
  let reservedBytes: Int
  /// Where the last page that was asked for ends.
  private var preparedBytes = 0

  /// Bytes before the end of a page from which the next one is made.
  private static var preparedFrom: Int { HugePage.bytes / 2 }

  /// Nil where the process may not have that much address space.
  init?(reserving elements: Int) {
    let wanted = max(1, elements) * MemoryLayout<Element>.stride
    // One page more, to begin at a multiple of a huge page.
    reservedBytes = (wanted + HugePage.bytes - 1) / HugePage.bytes * HugePage.bytes
    let mapped = mmap(
      nil, reservedBytes + HugePage.bytes, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { return nil }
    let address = Int(bitPattern: mapped)
    let start = (address + HugePage.bytes - 1) / HugePage.bytes * HugePage.bytes
    if start > address { munmap(mapped, start - address) }
    let rest = address + HugePage.bytes - start
    if rest > 0 { munmap(mapped + (start - address) + reservedBytes, rest) }
    base = UnsafeMutableRawPointer(bitPattern: start)!.bindMemory(
      to: Element.self, capacity: elements)
    // A small array is not worth a huge page.
    if reservedBytes > HugePage.bytes {
      madvise(
        UnsafeMutableRawPointer(base) + HugePage.bytes, reservedBytes - HugePage.bytes,
        MADV_HUGEPAGE)
    }
  }

  deinit { munmap(base, reservedBytes) }

  /// The huge page that has to be made before more than `elements` follow one by one; nil where the
  /// time has not come, or it was asked for already.
  func pageToPrepare(beyond elements: Int) -> UnsafeMutableRawPointer? {
    let used = elements * MemoryLayout<Element>.stride
    let next = (used / HugePage.bytes + 1) * HugePage.bytes
    let end = next + HugePage.bytes
    guard next - used <= Self.preparedFrom, end > preparedBytes, end <= reservedBytes else {
      return nil
    }
    preparedBytes = end
    return UnsafeMutableRawPointer(base) + next
  }

  func bytes(_ elements: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: elements * MemoryLayout<Element>.stride)
  }
}

/// 2 MiB of memory that the processor finds by one entry of its tables.
enum HugePage {
  static let bytes = 2 << 20
}
