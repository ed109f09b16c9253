import CJSON

/// JSON as bytes: whether it is some, and the inside of strings, shared by parser, scanner and
/// writer.
package enum JSONText {
  /// Whether the bytes are one JSON text: what `JSON(parsing:)` takes, and objects that have one
  /// name twice. Builds nothing and allocates nothing.
  package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let start = bytes.baseAddress else { return false }
    return cjson_validate(start, bytes.count) == 1
  }

  /// How many of `bytes` from `start` on may stand in a string as they are: up to a quote, a
  /// backslash or a control character.
  @inline(__always)
  static func plainPrefix(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int {
    // Most strings are names and words; a call costs more than a few of their bytes.
    let near = min(end, start + 16)
    var at = start
    while at < near {
      let byte = bytes[at]
      guard byte >= 0x20, byte != 0x22, byte != 0x5C else { return at - start }
      at += 1
    }
    guard at < end else { return at - start }
    return at - start + cjson_plain_prefix(bytes.baseAddress! + at, end - at)
  }

  /// The bytes as text when they are well-formed UTF-8, else nil.
  package static func validated(_ bytes: Slice<UnsafeRawBufferPointer>) -> String? {
    String(validating: bytes, as: UTF8.self)
  }

  /// Replaces the escapes in `range` (between the quotes); nil when one is wrong. A lone surrogate
  /// is wrong: it has no UTF-8.
  package static func unescape(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(range.count)
    var at = range.lowerBound
    while at < range.upperBound {
      let byte = bytes[at]
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        at += 1
        continue
      }
      guard at + 1 < range.upperBound else { return nil }
      at += 2
      switch bytes[at - 1] {
      case UInt8(ascii: "\""): out.append(0x22)
      case UInt8(ascii: "\\"): out.append(0x5C)
      case UInt8(ascii: "/"): out.append(0x2F)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "u"):
        guard let scalar = unicodeEscape(bytes, &at, range.upperBound) else { return nil }
        out.append(contentsOf: Array(String(Character(scalar)).utf8))
      default: return nil
      }
    }
    return out
  }

  /// Reads the digits of `\uXXXX`, and of the second half of a surrogate pair.
  private static func unicodeEscape(
    _ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ end: Int
  ) -> UnicodeScalar? {
    guard let first = fourDigits(bytes, at, end) else { return nil }
    at += 4
    guard (0xD800..<0xE000).contains(first) else { return UnicodeScalar(first) }
    guard first < 0xDC00, at + 6 <= end, bytes[at] == UInt8(ascii: "\\"),
      bytes[at + 1] == UInt8(ascii: "u"), let second = fourDigits(bytes, at + 2, end),
      (0xDC00..<0xE000).contains(second)
    else { return nil }
    at += 6
    return UnicodeScalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
  }

  private static func fourDigits(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ end: Int)
    -> UInt32?
  {
    guard at + 4 <= end else { return nil }
    var value: UInt32 = 0
    for index in at..<at + 4 {
      guard let digit = Hex.value(of: bytes[index]) else { return nil }
      value = value << 4 | UInt32(digit)
    }
    return value
  }
}
