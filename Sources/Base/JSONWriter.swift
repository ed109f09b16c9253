/// Writes JSON text into a byte array, without a tree. The caller keeps the grammar; commas
/// between members and items are placed by the writer.
package struct JSONWriter {
  package var bytes: [UInt8] = []
  /// Whether the next member or item of the open container needs a comma before it.
  private var needsComma = false

  package init(reserving capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  package mutating func beginObject() { open(UInt8(ascii: "{")) }
  package mutating func endObject() { close(UInt8(ascii: "}")) }
  package mutating func beginArray() { open(UInt8(ascii: "[")) }
  package mutating func endArray() { close(UInt8(ascii: "]")) }

  package mutating func name(_ name: StaticString) {
    separate()
    bytes.append(0x22)
    bytes.append(
      contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    bytes.append(0x22)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func name(_ name: String) {
    separate()
    Self.append(string: name, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func string(_ value: String) {
    separate()
    Self.append(string: value, to: &bytes)
    needsComma = true
  }

  package mutating func int(_ value: some BinaryInteger) {
    separate()
    bytes.append(contentsOf: String(value).utf8)
    needsComma = true
  }

  package mutating func bool(_ value: Bool) {
    raw(value ? Array("true".utf8) : Array("false".utf8))
  }

  package mutating func null() { raw(Array("null".utf8)) }

  package mutating func value(_ value: JSON) {
    separate()
    value.append(to: &bytes)
    needsComma = true
  }

  /// Bytes that are one whole JSON value already.
  package mutating func raw(_ value: some Collection<UInt8>) {
    separate()
    bytes.append(contentsOf: value)
    needsComma = true
  }

  package mutating func member(_ name: StaticString, _ value: String) {
    self.name(name)
    string(value)
  }

  package mutating func member(_ name: StaticString, _ value: some BinaryInteger) {
    self.name(name)
    int(value)
  }

  package mutating func member(_ name: StaticString, _ value: JSON) {
    self.name(name)
    self.value(value)
  }

  private mutating func open(_ byte: UInt8) {
    separate()
    bytes.append(byte)
    needsComma = false
  }

  private mutating func close(_ byte: UInt8) {
    bytes.append(byte)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  /// Appends `text` as a JSON string with its quotes. Also escapes DEL and the C1 controls' lead
  /// characters no further than RFC 8259 asks: quote, backslash and everything below U+0020.
  package static func append(string text: String, to bytes: inout [UInt8]) {
    bytes.append(0x22)
    var text = text
    text.withUTF8 { utf8 in
      let raw = UnsafeRawBufferPointer(utf8)
      var start = 0
      while true {
        let end = start + JSONText.plainPrefix(raw, from: start, to: raw.count)
        bytes.append(contentsOf: raw[start..<end])
        guard end < raw.count else { break }
        appendEscape(raw[end], to: &bytes)
        start = end + 1
      }
    }
    bytes.append(0x22)
  }

  private static func appendEscape(_ byte: UInt8, to bytes: inout [UInt8]) {
    bytes.append(0x5C)
    switch byte {
    case 0x22, 0x5C: bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    default: bytes.append(contentsOf: Array("u00".utf8) + Array(Hex.encode([byte]).utf8))
    }
  }
}

extension JSON {
  /// Compact JSON text.
  package var text: String { String(decoding: encoded, as: UTF8.self) }

  package var encoded: [UInt8] {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return bytes
  }

  /// RFC 8785 (JCS): the one text of this value, for digests.
  package var canonical: [UInt8] {
    var bytes: [UInt8] = []
    append(to: &bytes, sorted: true)
    return bytes
  }

  /// Appends compact JSON; with `sorted`, members go by the UTF-16 units of their names.
  package func append(to bytes: inout [UInt8], sorted: Bool = false) {
    switch self {
    case .null: bytes.append(contentsOf: "null".utf8)
    case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
    case .int(let value): bytes.append(contentsOf: String(value).utf8)
    case .double(let value): bytes.append(contentsOf: JSONNumber.text(of: value).utf8)
    case .string(let value): JSONWriter.append(string: value, to: &bytes)
    case .array(let items):
      bytes.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        item.append(to: &bytes, sorted: sorted)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let object):
      let members =
        sorted
        ? object.members.sorted { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }
        : object.members
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        JSONWriter.append(string: member.name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        member.value.append(to: &bytes, sorted: sorted)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }
}

/// Numbers as ECMAScript writes them, which is what RFC 8785 section 3.2.2.3 asks for.
enum JSONNumber {
  /// `value` is finite: JSON has no other numbers, and the parser lets none in.
  static func text(of value: Double) -> String {
    guard value.isFinite else { return "null" }
    if value == 0 { return "0" }
    // Swift prints the shortest digits that read back as the value, as ECMAScript does; only
    // where the exponent begins and how it looks differs.
    let (digits, pointPosition) = shortest(abs(value))
    let sign = value < 0 ? "-" : ""
    let count = digits.count
    if pointPosition > 21 || pointPosition < -5 {
      let exponent = pointPosition - 1
      let mantissa = count == 1 ? digits : "\(digits.prefix(1)).\(digits.dropFirst())"
      return "\(sign)\(mantissa)e\(exponent < 0 ? "-" : "+")\(abs(exponent))"
    }
    if pointPosition <= 0 {
      return "\(sign)0.\(String(repeating: "0", count: -pointPosition))\(digits)"
    }
    if count <= pointPosition {
      return "\(sign)\(digits)\(String(repeating: "0", count: pointPosition - count))"
    }
    return "\(sign)\(digits.prefix(pointPosition)).\(digits.dropFirst(pointPosition))"
  }

  /// The significant digits, and how many of them stand before the decimal point.
  private static func shortest(_ value: Double) -> (digits: String, pointPosition: Int) {
    let text = "\(value)"
    let parts = text.split(separator: "e")
    let exponent = parts.count > 1 ? Int(parts[1])! : 0
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    let fraction = mantissa.count > 1 ? mantissa[1] : ""
    var digits = String(mantissa[0] + fraction)
    var point = mantissa[0].count + exponent
    while digits.hasPrefix("0"), digits.count > 1 {
      digits.removeFirst()
      point -= 1
    }
    while digits.hasSuffix("0"), digits.count > 1 { digits.removeLast() }
    return (digits, point)
  }
}
