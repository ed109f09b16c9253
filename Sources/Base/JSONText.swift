/// The inside of JSON strings: escapes and UTF-8, shared by parser, scanner and writer.
package enum JSONText {
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
