import Glibc

/// Address space for one array, reserved at once and filled from its start: growing moves nothing,
/// so readers keep their addresses and no addition ever waits for a copy. Pages that were never
/// touched take no memory; what lies beyond the first 2 MiB is of huge pages where the system
/// gives them. To make a huge page takes milliseconds where a virtual machine has to get its memory
/// first, and several arrays come to the end of theirs with the same row: `pageToMake` says ahead of
/// it which is next.
final class ArraySpace<Element: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Element>
  let reservedBytes: Int
  private let made = HugePage.MadeBytes()

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

  /// The huge page behind the one that `elements` end in, where less than `room` bytes are left of
  /// that and it was not made yet.
  func pageToMake(beyond elements: Int, room: Int) -> HugePage? {
    let used = elements * MemoryLayout<Element>.stride
    let next = (used / HugePage.bytes + 1) * HugePage.bytes
    let end = next + HugePage.bytes
    guard next - used <= room, end <= reservedBytes, end > made.bytes else { return nil }
    return HugePage(
      owner: self, start: UnsafeMutableRawPointer(base) + next, end: end, made: made)
  }

  func bytes(_ elements: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: elements * MemoryLayout<Element>.stride)
  }
}
