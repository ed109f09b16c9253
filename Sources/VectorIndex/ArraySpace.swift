import Glibc

/// Address space for one array, reserved at once and filled from its start: growing moves nothing,
/// so readers keep their addresses and no addition ever waits for a copy. Pages that were never
/// touched take no memory; what lies beyond the first 2 MiB is of huge pages where the system
/// gives them.
final class ArraySpace<Element: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Element>
  let reservedBytes: Int
  private var advisedBytes = ArraySpace.hugePageBytes

  private static var hugePageBytes: Int { 2 << 20 }
  /// Bytes for which huge pages are asked at once.
  private static var adviceStep: Int { 32 << 20 }

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
  }

  deinit { munmap(base, reservedBytes) }

  /// Says that the first `elements` will be used; the new ones are zero.
  func use(_ elements: Int) {
    let bytes = elements * MemoryLayout<Element>.stride
    guard bytes > advisedBytes else { return }
    let end = min(reservedBytes, bytes + Self.adviceStep) / Self.hugePageBytes * Self.hugePageBytes
    guard end > advisedBytes else { return }
    madvise(UnsafeMutableRawPointer(base) + advisedBytes, end - advisedBytes, MADV_HUGEPAGE)
    advisedBytes = end
  }

  func bytes(_ elements: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: elements * MemoryLayout<Element>.stride)
  }
}
