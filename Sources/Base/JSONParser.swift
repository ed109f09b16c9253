import Glibc

/// Why bytes are not the JSON that is wanted, and where.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Kind: Hashable, Sendable {
    /// Not RFC 8259, or not UTF-8.
    case malformed(String)
    case tooDeep
    /// The same name twice in one object; `pointer` is that member.
    case duplicateName
  }

  package var kind: Kind
  /// Counted from 1, in bytes.
  package var line: Int
  package var column: Int
  /// RFC 6901.
  package var pointer: String

  package var description: String {
    let what =
      switch kind {
      case .malformed(let reason): reason
      case .tooDeep: "nested deeper than \(JSONParser.depthMax) levels"
      case .duplicateName: "the member \(pointer) is given twice"
      }
    return "line \(line), column \(column): \(what)"
  }
}

extension JSON {
  /// Parses one JSON text, strictly: UTF-8, no duplicate names, no bytes after the value.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(JSONError) {
    var parser = JSONParser(bytes: bytes)
    self = try parser.parseDocument()
  }

  package init(parsing bytes: [UInt8]) throws(JSONError) {
    let result = bytes.withUnsafeBytes { buffer -> Result<JSON, JSONError> in
      do throws(JSONError) { return .success(try JSON(parsing: buffer)) } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }

  package init(parsing text: String) throws(JSONError) { try self.init(parsing: Array(text.utf8)) }
}

extension JSONText {
  /// Checks what `isValid` checks; what is wrong comes with its place. Only then is it read twice.
  package static func validate(_ bytes: UnsafeRawBufferPointer) throws(JSONError) {
    guard !isValid(bytes) else { return }
    var parser = JSONParser(bytes: bytes, allowsRepeatedNames: true)
    _ = try parser.parseDocument()
  }
}

/// A recursive-descent parser; the depth limit bounds the stack.
struct JSONParser {
  /// Levels of nesting that are read (SURFACE: JSON is at most 64 deep).
  static let depthMax = 64

  private let bytes: UnsafeRawBufferPointer
  private var at = 0
  private var path: [String] = []
  private let allowsRepeatedNames: Bool

  init(bytes: UnsafeRawBufferPointer, allowsRepeatedNames: Bool = false) {
    self.bytes = bytes
    self.allowsRepeatedNames = allowsRepeatedNames
  }

  mutating func parseDocument() throws(JSONError) -> JSON {
    skipSpace()
    let value = try parseValue(depth: 0)
    skipSpace()
    guard at == bytes.count else { throw failure("unexpected \(seen) after the value") }
    return value
  }

  private mutating func parseValue(depth: Int) throws(JSONError) -> JSON {
    guard at < bytes.count else { throw failure("the text ends where a value should stand") }
    switch bytes[at] {
    case UInt8(ascii: "{"):
      guard depth < Self.depthMax else { throw error(.tooDeep) }
      return try parseObject(depth: depth)
    case UInt8(ascii: "["):
      guard depth < Self.depthMax else { throw error(.tooDeep) }
      return try parseArray(depth: depth)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "-"), 48...57: return try parseNumber()
    case UInt8(ascii: "t"): return try parseLiteral("true", .bool(true))
    case UInt8(ascii: "f"): return try parseLiteral("false", .bool(false))
    case UInt8(ascii: "n"): return try parseLiteral("null", .null)
    default: throw failure("unexpected \(seen) where a value should stand")
    }
  }

  private mutating func parseObject(depth: Int) throws(JSONError) -> JSON {
    var object = JSONObject()
    var names = Set<String>()
    at += 1
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(object) }
    while true {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else {
        throw failure("unexpected \(seen) where a member's name should stand")
      }
      let start = at
      let name = try parseString()
      path.append(name)
      guard names.insert(name).inserted || allowsRepeatedNames else {
        at = start
        throw error(.duplicateName)
      }
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw failure("expected ':' after a member's name") }
      skipSpace()
      object.append(uniqueName: name, try parseValue(depth: depth + 1))
      path.removeLast()
      skipSpace()
      if take(UInt8(ascii: "}")) { return .object(object) }
      guard take(UInt8(ascii: ",")) else { throw failure("expected ',' or '}'") }
    }
  }

  private mutating func parseArray(depth: Int) throws(JSONError) -> JSON {
    var items: [JSON] = []
    at += 1
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(items) }
    while true {
      skipSpace()
      path.append(String(items.count))
      items.append(try parseValue(depth: depth + 1))
      path.removeLast()
      skipSpace()
      if take(UInt8(ascii: "]")) { return .array(items) }
      guard take(UInt8(ascii: ",")) else { throw failure("expected ',' or ']'") }
    }
  }

  private mutating func parseString() throws(JSONError) -> String {
    let start = at + 1
    let end = start + JSONText.plainPrefix(bytes, from: start, to: bytes.count)
    guard end < bytes.count else { throw failure("a string without an end") }
    if bytes[end] == UInt8(ascii: "\"") {
      // The common case: nothing is escaped, the bytes are the text.
      guard let text = JSONText.validated(bytes[start..<end]) else {
        throw failure("a string that is not UTF-8")
      }
      at = end + 1
      return text
    }
    var closing = end
    while closing < bytes.count, bytes[closing] != UInt8(ascii: "\"") {
      if bytes[closing] < 0x20 {
        at = closing
        throw failure("a control character in a string")
      }
      closing += bytes[closing] == UInt8(ascii: "\\") ? 2 : 1
    }
    guard closing < bytes.count else { throw failure("a string without an end") }
    guard let raw = JSONText.unescape(bytes, start..<closing) else {
      throw failure("a wrong escape in a string")
    }
    guard let text = raw.withUnsafeBytes({ JSONText.validated($0[...]) }) else {
      throw failure("a string that is not UTF-8")
    }
    at = closing + 1
    return text
  }

  private mutating func parseNumber() throws(JSONError) -> JSON {
    let start = at
    var isInteger = true
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")) {
      guard takeDigits() else { throw failure("a number without digits") }
    }
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard takeDigits() else { throw failure("a number without digits after its point") }
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      isInteger = false
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      guard takeDigits() else { throw failure("a number without digits in its exponent") }
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, let value = Int64(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else {
      at = start
      throw failure("a number beyond the range of a double")
    }
    return .double(value)
  }

  private mutating func parseLiteral(_ text: StaticString, _ value: JSON) throws(JSONError)
    -> JSON
  {
    let count = text.utf8CodeUnitCount
    guard at + count <= bytes.count, memcmp(bytes.baseAddress! + at, text.utf8Start, count) == 0
    else { throw failure("unexpected \(seen) where a value should stand") }
    at += count
    return value
  }

  private mutating func takeDigits() -> Bool {
    let start = at
    while at < bytes.count, bytes[at] >= 48, bytes[at] <= 57 { at += 1 }
    return at > start
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard at < bytes.count, bytes[at] == byte else { return false }
    at += 1
    return true
  }

  private mutating func skipSpace() {
    while at < bytes.count {
      switch bytes[at] {
      case 0x20, 0x0A, 0x0D, 0x09: at += 1
      default: return
      }
    }
  }

  private var seen: String {
    guard at < bytes.count else { return "end" }
    let byte = bytes[at]
    return byte > 0x20 && byte < 0x7F
      ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x" + Hex.encode([byte])
  }

  private func failure(_ reason: String) -> JSONError { error(.malformed(reason)) }

  private func error(_ kind: JSONError.Kind) -> JSONError {
    var line = 1
    var lineStart = 0
    for index in 0..<min(at, bytes.count) where bytes[index] == 0x0A {
      line += 1
      lineStart = index + 1
    }
    let pointer = path.map { "/" + JSONPointer.escape($0) }.joined()
    return JSONError(
      kind: kind, line: line, column: min(at, bytes.count) - lineStart + 1, pointer: pointer)
  }
}

/// RFC 6901.
package enum JSONPointer {
  package static func escape(_ name: String) -> String {
    guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
      return name
    }
    var out = ""
    for character in name {
      switch character {
      case "~": out += "~0"
      case "/": out += "~1"
      default: out.append(character)
      }
    }
    return out
  }
}
