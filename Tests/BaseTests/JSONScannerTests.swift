// Contract: for text that is JSON the scanner finds exactly the members and items the parser
// finds; for any other bytes it finds ranges inside the buffer or nothing, and never traps.
import Base
import Testing

@Suite struct JSONScannerTests {
  /// Rebuilds the tree with the scanner alone and compares it with the parser's.
  @Test(arguments: [1 as UInt64, 2, 3]) func agreesWithTheParser(seed: UInt64) throws {
    var generator = JSONGenerator(seed: seed)
    for round in 0..<300 {
      let value = generator.object(depth: 4, count: 6)
      let bytes = generator.text(of: value)
      bytes.withUnsafeBytes { buffer in
        let scanner = JSONScanner(buffer)
        let found = Self.value(scanner, Self.trimmed(buffer, 0..<buffer.count))
        #expect(found == value, "seed \(seed), round \(round)")
      }
    }
  }

  private static func trimmed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Range<Int> {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high, bytes[low] <= 0x20 { low += 1 }
    while low < high, bytes[high - 1] <= 0x20 { high -= 1 }
    return low..<high
  }

  private static func value(_ scanner: JSONScanner, _ range: Range<Int>) -> JSON? {
    switch scanner.bytes[range.lowerBound] {
    case UInt8(ascii: "{"):
      var object = JSONObject()
      let isObject = scanner.members(in: range) { name, value in
        let quoted = name.lowerBound - 1..<name.upperBound + 1
        object[scanner.string(quoted) ?? "?"] = Self.value(scanner, value)
        return true
      }
      return isObject ? .object(object) : nil
    case UInt8(ascii: "["):
      var items: [JSON] = []
      scanner.items(in: range) { item in
        items.append(Self.value(scanner, item) ?? "?")
        return true
      }
      return .array(items)
    case UInt8(ascii: "\""): return scanner.string(range).map { .string($0) }
    default:
      if scanner.isNull(range) { return .null }
      if let whole = scanner.integer(range) { return .int(whole) }
      return try? JSON(parsing: Array(scanner.bytes[range]))
    }
  }

  @Test func damageNeverLeadsOutOfTheBuffer() {
    var generator = JSONGenerator(seed: 11)
    var visited = 0
    for _ in 0..<200 {
      var bytes = generator.text(of: generator.object(depth: 3, count: 5))
      for _ in 0..<20 {
        if bytes.isEmpty { break }
        switch generator.below(3) {
        case 0: bytes[generator.below(bytes.count)] = UInt8(generator.below(256))
        case 1: bytes.removeLast(generator.below(bytes.count) / 4)
        default:
          bytes.insert(
            Array("\"\\{}[],: ".utf8)[generator.below(9)], at: generator.below(bytes.count))
        }
        bytes.withUnsafeBytes { buffer in
          let scanner = JSONScanner(buffer)
          scanner.members(in: 0..<buffer.count) { name, value in
            #expect(name.lowerBound >= 0 && name.upperBound <= value.lowerBound)
            #expect(value.upperBound <= buffer.count && !value.isEmpty)
            _ = scanner.string(value)
            scanner.items(in: value) { item in
              #expect(item.upperBound <= value.upperBound)
              visited += 1
              return true
            }
            return true
          }
        }
      }
    }
    #expect(visited > 1_000, "the damage left nothing to look at: \(visited)")
  }

  @Test(arguments: [
    ("0", 0 as Int64?), ("-1", -1), ("9223372036854775807", .max), ("-9223372036854775808", .min),
    ("9223372036854775808", nil), ("-9223372036854775809", nil), ("", nil), ("-", nil),
    ("1.0", nil),
    ("1e3", nil), ("+1", nil), ("\"1\"", nil), ("99999999999999999999999", nil),
  ])
  func integersAreExactOrNone(_ text: String, _ value: Int64?) {
    Array(text.utf8).withUnsafeBytes { buffer in
      #expect(JSONScanner(buffer).integer(0..<buffer.count) == value)
    }
  }

  @Test func theFirstMemberOfANameCounts() {
    Array(#"{"a": 1, "b": {"a": 2}, "a": 3}"#.utf8).withUnsafeBytes { buffer in
      let scanner = JSONScanner(buffer)
      #expect(scanner.member("a", in: 0..<buffer.count).flatMap { scanner.integer($0) } == 1)
      let inner = scanner.member("b", in: 0..<buffer.count)
      #expect(inner.flatMap { scanner.member("a", in: $0) }.flatMap { scanner.integer($0) } == 2)
      #expect(scanner.member("c", in: 0..<buffer.count) == nil)
    }
  }
}
