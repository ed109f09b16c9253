import Glibc

/// A file's content as the page cache has it, to be read in place. Whoever reads keeps to what has
/// been written: reading behind the file's end, or what the disk cannot give any more, ends the
/// process.
package final class MappedFile {
  package let bytes: UnsafeRawBufferPointer

  /// `length` bytes from the file's start, also when it is still shorter; nil when the system does
  /// not map it.
  package init?(descriptor: Int32, length: Int) {
    let start = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let start, start != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
    bytes = UnsafeRawBufferPointer(start: start, count: length)
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count) }

  /// Whether all of `range` is in memory: then reading it waits for no disk.
  package func isResident(_ range: Range<Int>) -> Bool {
    let page = Self.pageBytes
    let first = range.lowerBound / page * page
    let pages = (range.upperBound - first + page - 1) / page
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, pages)) { states in
      let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress! + first)
      guard mincore(start, range.upperBound - first, states.baseAddress!) == 0 else {
        return false
      }
      return states[..<pages].allSatisfy { $0 & 1 == 1 }
    }
  }

  private static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
}
