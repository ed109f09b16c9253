import CJSON

/// Finds members in JSON text without building a tree or allocating: what is wanted is a range of
/// the caller's buffer. It follows strings and nesting only; whoever needs the whole text checked
/// parses it. For text that is damaged it finds nothing; it never reads outside the buffer.
package struct JSONScanner {
  package let bytes: UnsafeRawBufferPointer

  package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Calls `body` with the ranges of each member's name (without quotes) and value of the object
  /// that begins in `range`; stops when it returns false. False when the text is no object.
  @inline(__always)
  @discardableResult
  package func members(
    in range: Range<Int>, _ body: (_ name: Range<Int>, _ value: Range<Int>) -> Bool
  ) -> Bool {
    var at = skipSpace(range.lowerBound, range.upperBound)
    guard at < range.upperBound, bytes[at] == UInt8(ascii: "{") else { return false }
    at = skipSpace(at + 1, range.upperBound)
    while at < range.upperBound, bytes[at] == UInt8(ascii: "\"") {
      guard let nameEnd = endOfString(at, range.upperBound) else { return false }
      let name = at + 1..<nameEnd - 1
      at = skipSpace(nameEnd, range.upperBound)
      guard at < range.upperBound, bytes[at] == UInt8(ascii: ":") else { return false }
      at = skipSpace(at + 1, range.upperBound)
      guard let valueEnd = endOfValue(at, range.upperBound) else { return false }
      guard body(name, at..<valueEnd) else { return true }
      at = skipSpace(valueEnd, range.upperBound)
      guard at < range.upperBound, bytes[at] == UInt8(ascii: ",") else { break }
      at = skipSpace(at + 1, range.upperBound)
    }
    return at < range.upperBound && bytes[at] == UInt8(ascii: "}")
  }

  /// The value of the first member called `name`; nil without one.
  package func member(_ name: StaticString, in range: Range<Int>) -> Range<Int>? {
    var found: Range<Int>?
    members(in: range) { nameRange, value in
      guard matches(nameRange, name) else { return true }
      found = value
      return false
    }
    return found
  }

  /// Calls `body` with the range of each item of the array that begins in `range`.
  package func items(in range: Range<Int>, _ body: (Range<Int>) -> Bool) {
    var at = skipSpace(range.lowerBound, range.upperBound)
    guard at < range.upperBound, bytes[at] == UInt8(ascii: "[") else { return }
    at = skipSpace(at + 1, range.upperBound)
    while at < range.upperBound, bytes[at] != UInt8(ascii: "]") {
      guard let end = endOfValue(at, range.upperBound), body(at..<end) else { return }
      at = skipSpace(end, range.upperBound)
      guard at < range.upperBound, bytes[at] == UInt8(ascii: ",") else { return }
      at = skipSpace(at + 1, range.upperBound)
    }
  }

  /// The text of a JSON string whose quotes are at the ends of `range`; nil when it is none, or
  /// has a wrong escape, or is not UTF-8.
  package func string(_ range: Range<Int>) -> String? {
    guard range.count >= 2, bytes[range.lowerBound] == 0x22, bytes[range.upperBound - 1] == 0x22
    else { return nil }
    let inside = range.lowerBound + 1..<range.upperBound - 1
    for index in inside where bytes[index] == UInt8(ascii: "\\") {
      guard let raw = JSONText.unescape(bytes, inside) else { return nil }
      return raw.withUnsafeBytes { JSONText.validated($0[...]) }
    }
    return JSONText.validated(bytes[inside])
  }

  /// A whole number without fraction; nil for anything else and beyond 64 bits.
  package func integer(_ range: Range<Int>) -> Int64? {
    var at = range.lowerBound
    let negative = at < range.upperBound && bytes[at] == UInt8(ascii: "-")
    if negative { at += 1 }
    guard at < range.upperBound else { return nil }
    var value: Int64 = 0
    while at < range.upperBound {
      guard bytes[at] >= 48, bytes[at] <= 57 else { return nil }
      let (scaled, scaledOverflow) = value.multipliedReportingOverflow(by: 10)
      let (next, nextOverflow) = scaled.subtractingReportingOverflow(Int64(bytes[at] - 48))
      guard !scaledOverflow, !nextOverflow else { return nil }
      value = next
      at += 1
    }
    return negative ? value : value == Int64.min ? nil : -value
  }

  package func isNull(_ range: Range<Int>) -> Bool { matches(range, "null") }

  /// Whether the bytes of `range` are those of `text`.
  @inline(__always)
  package func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
    guard range.count == text.utf8CodeUnitCount else { return false }
    let start = text.utf8Start
    for index in 0..<range.count where bytes[range.lowerBound + index] != start[index] {
      return false
    }
    return true
  }

  @inline(__always)
  private func skipSpace(_ start: Int, _ end: Int) -> Int {
    var at = start
    while at < end, bytes[at] <= 0x20 { at += 1 }
    return at
  }

  /// The position after the closing quote of the string that opens at `start`.
  private func endOfString(_ start: Int, _ end: Int) -> Int? {
    // Most are short; a call costs more than a few bytes.
    let near = min(end, start + 24)
    var at = start + 1
    while at < near {
      let byte = bytes[at]
      if byte == 0x22 { return at + 1 }
      at += byte == UInt8(ascii: "\\") ? 2 : 1
    }
    return at < end ? endByBlocks(start, end) : nil
  }

  private func endByBlocks(_ start: Int, _ end: Int) -> Int? {
    let length = cjson_value_end(bytes.baseAddress! + start, end - start)
    return length == 0 ? nil : start + length
  }

  private func endOfValue(_ start: Int, _ end: Int) -> Int? {
    guard start < end else { return nil }
    switch bytes[start] {
    case 0x22: return endOfString(start, end)
    case UInt8(ascii: "{"), UInt8(ascii: "["): return endByBlocks(start, end)
    default:
      var at = start
      while at < end {
        switch bytes[at] {
        case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x09, 0x0A, 0x0D:
          return at > start ? at : nil
        default: at += 1
        }
      }
      return at
    }
  }
}
