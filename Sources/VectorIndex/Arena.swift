import Glibc

/// Growable memory for one trivial type, aligned to a cache line, without bounds checks: the hot
/// loops read rows and edges from it by address. Whoever holds it keeps the addresses no longer
/// than until the next `grow`.
final class Arena<Element: BitwiseCopyable> {
  /// Bytes: a cache line, and the width of the widest register.
  static var alignment: Int { 64 }

  private(set) var base: UnsafeMutablePointer<Element>
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int = 0) {
    self.capacity = max(capacity, 1024)
    base = Self.allocate(self.capacity)
  }

  deinit { free(base) }

  /// Appends `extra` elements of value `value`; the addresses of all elements may change.
  func grow(by extra: Int, filledWith value: Element) {
    if count + extra > capacity {
      let roomier = max(count + extra, capacity * 2)
      let moved = Self.allocate(roomier)
      moved.update(from: base, count: count)
      free(base)
      base = moved
      capacity = roomier
    }
    (base + count).update(repeating: value, count: extra)
    count += extra
  }

  func removeLast(_ removed: Int) {
    precondition(removed <= count)
    count -= removed
  }

  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: count * MemoryLayout<Element>.stride)
  }

  var mutableBytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base, count: count * MemoryLayout<Element>.stride)
  }

  private static func allocate(_ elements: Int) -> UnsafeMutablePointer<Element> {
    var memory: UnsafeMutableRawPointer?
    let result = posix_memalign(&memory, alignment, elements * MemoryLayout<Element>.stride)
    guard result == 0, let memory else { fatalError("out of memory for \(elements) elements") }
    return memory.bindMemory(to: Element.self, capacity: elements)
  }
}
