import Glibc

/// Memory that large batches are made in and written from, in one piece: in huge pages where there
/// are some, and known to the loop, so that a write looks up no pages.
final class BatchArena {
  private let memory: UnsafeMutableRawBufferPointer
  private let mapped: UnsafeMutableRawBufferPointer
  private let loop: any LogLoop
  private let isRegistered: Bool
  /// From the start of `memory`, ascending, none touching the next.
  private var free: [Range<Int>]

  /// Enough for the direct writes under way by default, and what readers still hold.
  static let bytes = 16 << 20
  private static let hugePage = 2 << 20

  /// Nil when there is no memory for it.
  init?(loop: any LogLoop) {
    let length = Self.bytes + Self.hugePage
    let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let start, start != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
    mapped = UnsafeMutableRawBufferPointer(start: start, count: length)
    let aligned = start.alignedUp(toMultipleOf: Self.hugePage)
    memory = UnsafeMutableRawBufferPointer(start: aligned, count: Self.bytes)
    madvise(aligned, Self.bytes, MADV_HUGEPAGE)
    self.loop = loop
    isRegistered = loop.register(UnsafeRawBufferPointer(memory))
    free = [0..<Self.bytes]
  }

  deinit {
    if isRegistered { loop.unregister(UnsafeRawBufferPointer(memory)) }
    munmap(mapped.baseAddress, mapped.count)
  }

  /// `count` bytes, whole blocks; nil when no free piece is that long. The first that fits is the
  /// likeliest to be in the cache.
  func take(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    guard let index = free.firstIndex(where: { $0.count >= count }) else { return nil }
    let start = free[index].lowerBound
    if free[index].count == count {
      free.remove(at: index)
    } else {
      free[index] = start + count..<free[index].upperBound
    }
    return UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + count])
  }

  /// Takes `bytes` back; false when they are not from here.
  func giveBack(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
    let start = bytes.baseAddress! - memory.baseAddress!
    guard start >= 0, start < memory.count else { return false }
    var range = start..<start + bytes.count
    let next = free.firstIndex { $0.lowerBound > start } ?? free.count
    if next < free.count, free[next].lowerBound == range.upperBound {
      range = range.lowerBound..<free.remove(at: next).upperBound
    }
    if next > 0, free[next - 1].upperBound == range.lowerBound {
      free[next - 1] = free[next - 1].lowerBound..<range.upperBound
    } else {
      free.insert(range, at: next)
    }
    return true
  }
}
