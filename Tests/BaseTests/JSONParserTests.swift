// Contract: the parser takes exactly RFC 8259 in UTF-8, minus duplicate names, nesting beyond 64
// and numbers beyond a double; says where it stopped; never traps. JSONCorpusTests reads the public
// corpus where it is to be had; this slice of the same kind is always read.
import Base
import Testing

@Suite struct JSONParserTests {
  static let accepted: [(text: String, value: JSON)] = [
    ("null", nil), (" true ", true), ("\t\n\r false", false), ("0", 0), ("-0", 0), ("-1", -1),
    ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
    ("9223372036854775808", .double(0x1p63)), ("0.5", 0.5), ("1e2", .double(100)),
    ("1E+2", .double(100)), ("1e-2", 0.01), ("1.0", .double(1)), ("-0.0", .double(0)),
    ("5e-324", .double(.leastNonzeroMagnitude)), ("1e-999", .double(0)), (#""""#, ""),
    (#""a""#, "a"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u00e9\u0041""#, "éA"),
    (#""\ud83e\udd8a""#, "🦊"), (#""\u0000""#, "\0"), ("\"\u{7F}é🦊\u{2028}\"", "\u{7F}é🦊\u{2028}"),
    ("[]", []), ("[ ]", []), ("[1,[2]]", [1, [2]]), ("{}", [:]), (#"{"":1}"#, ["": 1]),
    (#"{"a":{"b":[null]}, "c" : 2}"#, ["a": ["b": [nil]], "c": 2]),
  ]

  @Test(arguments: accepted) func takesWhatIsJSON(_ one: (text: String, value: JSON)) throws {
    #expect(try JSON(parsing: one.text) == one.value)
  }

  static let rejected: [(text: String, line: Int, column: Int)] = [
    ("", 1, 1), (" ", 1, 2), ("nul", 1, 1), ("nulll", 1, 5), ("True", 1, 1), ("01", 1, 2),
    ("-", 1, 2), ("+1", 1, 1), (".5", 1, 1), ("1.", 1, 3), ("1.e2", 1, 3), ("1e", 1, 3),
    ("1e+", 1, 4), ("0x1", 1, 2), ("NaN", 1, 1), ("-Infinity", 1, 2), ("1e999", 1, 1),
    ("'a'", 1, 1), (#""a"#, 1, 1), (#""\x""#, 1, 1), (#""\u12""#, 1, 1), (#""\ud800""#, 1, 1),
    (#""\udc00\ud800""#, 1, 1), ("\"\n\"", 1, 1), ("\"\\\n\"", 1, 1), ("[", 1, 2), ("[1", 1, 3),
    ("[1,", 1, 4), ("[1,]", 1, 4), ("[,1]", 1, 2), ("[1 2]", 1, 4), ("]", 1, 1), ("{", 1, 2),
    (#"{"a""#, 1, 5), (#"{"a":}"#, 1, 6), (#"{"a":1,}"#, 1, 8), ("{a:1}", 1, 2), ("{1:1}", 1, 2),
    (#"{"a" 1}"#, 1, 6), ("1 1", 1, 3), ("[1]\n\n x", 3, 2), ("\u{FEFF}1", 1, 1),
    ("// c\n1", 1, 1), ("1 /* */", 1, 3), ("[1,\n 2,\n }", 3, 2),
  ]

  @Test(arguments: rejected)
  func saysWhereItIsNot(_ one: (text: String, line: Int, column: Int)) throws {
    let error = try #require(throws: JSONError.self) { try JSON(parsing: one.text) }
    #expect(error.line == one.line)
    if !one.text.hasPrefix("\"") { #expect(error.column == one.column) }
    guard case .malformed = error.kind else {
      Issue.record("\(error)")
      return
    }
  }

  @Test func duplicateNamesAreNamed() throws {
    let error = try #require(throws: JSONError.self) {
      try JSON(parsing: #"{"a": [{"b/c": 1, "b/c": 2}]}"#)
    }
    #expect(error.kind == .duplicateName)
    #expect(error.pointer == "/a/0/b~1c")
    #expect(throws: JSONError.self) { try JSON(parsing: #"{"a": 1, "\u0061": 2}"#) }
    // Names are compared as characters, not by what looks the same.
    _ = try JSON(parsing: #"{"e": 1, "E": 2}"#)
  }

  @Test func depthIsBounded() throws {
    func nested(_ count: Int) -> String {
      String(repeating: "[", count: count) + String(repeating: "]", count: count)
    }
    _ = try JSON(parsing: nested(64))
    let error = try #require(throws: JSONError.self) { try JSON(parsing: nested(65)) }
    #expect(error.kind == .tooDeep)
    #expect(throws: JSONError.self) {
      try JSON(parsing: String(repeating: #"{"a":["#, count: 100_000))
    }
  }

  @Test func bytesThatAreNotUTF8AreRefused() {
    for bytes: [UInt8] in [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0xAF, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
      [0x22, 0xE9, 0x22], [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0x5C, 0x6E, 0x80, 0x22],
    ] {
      #expect(throws: JSONError.self, "\(bytes)") { try JSON(parsing: bytes) }
    }
  }

  /// Any text that parses is written back to one that parses to the same.
  @Test(arguments: [99 as UInt64]) func writingAndReadingAreInverse(seed: UInt64) throws {
    var generator = JSONGenerator(seed: seed)
    for round in 0..<500 {
      let value = generator.value(depth: 4)
      #expect(try JSON(parsing: value.encoded) == value, "seed \(seed), round \(round)")
      #expect(try JSON(parsing: value.canonical) == value, "seed \(seed), round \(round)")
      #expect(try JSON(parsing: generator.text(of: value)) == value, "seed \(seed), round \(round)")
    }
  }

  @Test func everyTruncationIsRefusedOrWhole() throws {
    var generator = JSONGenerator(seed: 5)
    let bytes = generator.text(of: generator.object(depth: 5, count: 8))
    for count in 0..<bytes.count - 1 {
      let cut = Array(bytes[..<count])
      #expect((try? JSON(parsing: cut)) == nil || bytes[count...].allSatisfy { $0 <= 0x20 })
    }
  }
}
