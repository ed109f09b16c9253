package import CJSON

/// Names of members that are looked for in one pass over an object (`cjson_find`): at most 24, of
/// at most 16 bytes. Made once and kept for the life of the process.
package struct JSONNames: @unchecked Sendable {
  /// Never written after `init`.
  private let table: UnsafePointer<cjson_names>

  /// `names` are known when the program is written: more or longer ones are an error of it.
  package init(_ names: [StaticString]) {
    let table = UnsafeMutablePointer<cjson_names>.allocate(capacity: 1)
    let list: [UnsafePointer<CChar>?] = names.map {
      UnsafeRawPointer($0.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    let isMade = cjson_names_make(table, list, list.count) == 1
    precondition(isMade, "too many names, or one that is too long or given twice")
    self.table = UnsafePointer(table)
  }

  /// Finds the values of the object at the beginning of `bytes`; false when there is none, or its
  /// end is missing. No allocation, one pass; values are skipped and not checked.
  @inline(__always)
  package func find(in bytes: UnsafeRawBufferPointer, _ found: inout cjson_found) -> Bool {
    guard let start = bytes.baseAddress else { return false }
    return cjson_find(table, start, bytes.count, &found) == 1
  }
}

extension Range<Int> {
  /// Where a value was found.
  @inline(__always)
  package init(_ range: cjson_range) { self = Int(range.start)..<Int(range.end) }

  /// Nil when it was not.
  @inline(__always)
  package init?(found range: cjson_range) {
    guard range.end != 0 else { return nil }
    self.init(range)
  }
}
