import Base
import CJSON

/// A field's value inside a text that is valid JSON, and the forms it is held to. Texts of a fixed
/// form are ASCII and compared as they are written: escapes in them are refused.
struct EnvelopeValue {
  let bytes: UnsafeRawBufferPointer
  let range: Range<Int>

  @inline(__always)
  private var isString: Bool { bytes[range.lowerBound] == UInt8(ascii: "\"") }

  /// Between the quotes.
  @inline(__always)
  private var inside: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound + 1..<range.upperBound - 1])
  }

  /// Whether it is a string of the form that `cjson_has_form` describes.
  @inline(__always)
  func has(_ form: StaticString) -> Bool {
    guard isString, range.count == form.utf8CodeUnitCount + 2 else { return false }
    let pattern = UnsafeRawPointer(form.utf8Start).assumingMemoryBound(to: CChar.self)
    return cjson_has_form(start, range.count - 2, pattern, form.utf8CodeUnitCount) == 1
  }

  @inline(__always)
  private var start: UnsafeRawPointer { bytes.baseAddress! + range.lowerBound + 1 }

  @inline(__always)
  var isULID: Bool { isString && range.count == 28 && cjson_is_plain_ulid(start) == 1 }

  @inline(__always)
  var isHex32: Bool { isString && range.count == 34 && cjson_is_hex32(start) == 1 }

  var isAllZeros: Bool { inside.allSatisfy { $0 == UInt8(ascii: "0") } }

  /// `^[A-Z][A-Za-z0-9]*\.v[1-9][0-9]*$`
  var isTypeName: Bool { isString && cjson_is_type_name(start, range.count - 2) == 1 }

  /// `^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`
  var isVersion: Bool { isString && cjson_is_version(start, range.count - 2) == 1 }

  /// `YYYY-MM-DDThh:mm:ss.uuuuuuZ`, on a day that there is.
  var isTimestamp: Bool {
    guard isString, range.count == 29, cjson_is_time27(start) == 1 else { return false }
    let text = inside
    func two(_ at: Int) -> Int { Int(text[at] - 0x30) * 10 + Int(text[at + 1] - 0x30) }
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8))
    // A leap second is one.
    guard two(11) < 24, two(14) < 60, two(17) <= 60, (1...12).contains(month), day >= 1 else {
      return false
    }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    switch month {
    case 2: return day <= (isLeap ? 29 : 28)
    case 4, 6, 9, 11: return day <= 30
    default: return day <= 31
    }
  }

  private var string: String { JSONScanner(bytes).string(range) ?? "" }

  /// `^[A-Za-z0-9._:~-]{1,512}$`
  var isSessionID: Bool {
    guard isString, (3...514).contains(range.count) else { return false }
    return cjson_is_word(inside.baseAddress!, range.count - 2, "._:~-") == 1
  }

  /// A string of so many Unicode scalars.
  func isText(of length: ClosedRange<Int>) -> Bool {
    guard isString else { return false }
    // Every scalar takes a byte at least, and no more than 12 of them as two escapes.
    guard range.count - 2 >= length.lowerBound else { return false }
    if range.count - 2 <= length.upperBound { return true }
    return length.contains(string.unicodeScalars.count)
  }

  /// An integer as JSON Schema has it: also `1.0`.
  func isWhole(from minimum: Int64) -> Bool {
    if let value = JSONScanner(bytes).integer(range) { return value >= minimum }
    let raw = UnsafeRawBufferPointer(rebasing: bytes[range])
    guard let value = try? JSON(parsing: raw), let number = value.number else { return false }
    return number == number.rounded() && number >= Double(minimum)
  }

  var isOffsets: Bool {
    let scanner = JSONScanner(bytes)
    let names: [StaticString] = ["requests", "control"]
    return names.allSatisfy { name in
      scanner.member(name, in: range).map {
        EnvelopeValue(bytes: bytes, range: $0).isWhole(from: 0)
      } ?? false
    }
  }

  var isEncryption: Bool {
    let scanner = JSONScanner(bytes)
    let names: [StaticString] = ["alg", "key_id", "nonce"]
    return names.allSatisfy { name in
      scanner.member(name, in: range).map {
        EnvelopeValue(bytes: bytes, range: $0).isText(of: 1...Int.max)
      } ?? false
    }
  }
}
