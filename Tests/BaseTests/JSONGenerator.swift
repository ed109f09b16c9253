import Base

/// Random JSON values, and random ways to write them.
struct JSONGenerator {
  private let random: SeededRandom

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(bound))) }

  mutating func value(depth: Int) -> JSON {
    switch below(depth > 0 ? 9 : 6) {
    case 0: return nil
    case 1: return .bool(below(2) == 0)
    case 2: return .int(Int64(bitPattern: random.next()) >> Int64(below(64)))
    case 3:
      let number = Double(bitPattern: random.next())
      // A whole number is read back as an integer.
      return number.isFinite && number != number.rounded() ? .double(number) : 0.25
    case 4, 5: return .string(string())
    case 6, 7: return object(depth: depth, count: below(5))
    default: return .array((0..<below(5)).map { _ in value(depth: depth - 1) })
    }
  }

  mutating func object(depth: Int, count: Int) -> JSON {
    var object = JSONObject()
    for _ in 0..<count { object[string()] = value(depth: depth - 1) }
    return .object(object)
  }

  private func string() -> String {
    let scalars: [UnicodeScalar] = [
      "a", "b", "\"", "\\", "{", "}", "[", "]", ",", ":", "\n", "\0", " ", "é", "🦊", "/", "\u{7F}",
    ]
    var text = String.UnicodeScalarView()
    for _ in 0..<below(8) { text.append(scalars[below(scalars.count)]) }
    return String(text)
  }

  /// JSON text of `value` with spaces and escapes where they may stand.
  mutating func text(of value: JSON) -> [UInt8] {
    var bytes = space()
    switch value {
    case .array(let items):
      bytes.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        bytes += text(of: item)
      }
      bytes += space() + Array("]".utf8)
    case .object(let object):
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        bytes += text(of: .string(member.name)) + Array(":".utf8) + text(of: member.value)
      }
      bytes += space() + Array("}".utf8)
    case .string(let text):
      bytes.append(0x22)
      for scalar in text.unicodeScalars {
        let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
        if mustEscape || below(4) == 0 {
          for unit in String(scalar).utf16 {
            let digits = String(unit, radix: 16)
            bytes += Array("\\u".utf8) + Array(String(repeating: "0", count: 4 - digits.count).utf8)
            bytes += Array(digits.utf8)
          }
        } else {
          bytes += Array(String(scalar).utf8)
        }
      }
      bytes.append(0x22)
    default: bytes += value.encoded
    }
    return bytes + space()
  }

  private func space() -> [UInt8] {
    (0..<(below(3) == 0 ? below(3) : 0)).map { _ in [0x20, 0x0A, 0x0D, 0x09][below(4)] }
  }
}
