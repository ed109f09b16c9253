/// Percent escapes (RFC 3986 section 2.1).
package enum PercentEncoding {
  /// The text of `bytes[range]`; nil when an escape is incomplete, or what comes out is not UTF-8
  /// or holds NUL.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, plusIsSpace: Bool
  ) -> String? {
    let part = UnsafeRawBufferPointer(rebasing: bytes[range])
    guard part.contains(where: { $0 == Byte.percent || $0 == UInt8(ascii: "+") }) else {
      return String(decoding: part, as: UTF8.self)
    }
    var out: [UInt8] = []
    out.reserveCapacity(part.count)
    var at = 0
    while at < part.count {
      switch part[at] {
      case Byte.percent:
        guard at + 2 < part.count, let high = Byte.hexDigit(part[at + 1]),
          let low = Byte.hexDigit(part[at + 2]), high | low != 0
        else { return nil }
        out.append(UInt8(high << 4 | low))
        at += 3
      case UInt8(ascii: "+") where plusIsSpace:
        out.append(Byte.space)
        at += 1
      default:
        out.append(part[at])
        at += 1
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  /// `text` as one path segment or query value: all but RFC 3986's unreserved characters escaped.
  package static func encode(_ text: String) -> String {
    let digits: StaticString = "0123456789ABCDEF"
    var out: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: out.append(byte)
      default:
        out.append(Byte.percent)
        out.append(digits.utf8Start[Int(byte >> 4)])
        out.append(digits.utf8Start[Int(byte & 15)])
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
