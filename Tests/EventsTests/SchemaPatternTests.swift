// Contract: `pattern` follows ECMA-262 (Unicode mode) for what it accepts, is refused for what it
// does not know, and never takes more than linear time. `format` accepts what its RFC does.
import Base
import Events
import Testing

@Suite struct SchemaPatternTests {
  private func fits(_ keyword: String, _ argument: String, _ text: String) throws -> Bool {
    let schema = try JSONSchema([keyword: .string(argument)])
    return schema.violations(of: .string(text)).isEmpty
  }

  static let patterns: [(pattern: String, matches: [String], others: [String])] = [
    ("", ["", "x"], []), ("abc", ["abc", "xabcx"], ["ab", "acb"]),
    ("^abc$", ["abc"], ["xabc", "abcx", "abc\n"]), ("a|b|cd", ["a", "xb", "cd"], ["c", "d"]),
    ("^(a|b)*c$", ["c", "abbac"], ["abd", "cc"]), ("^a?b+$", ["b", "abbb"], ["a", "aab"]),
    ("^a{2}$", ["aa"], ["a", "aaa"]), ("^a{2,}$", ["aa", "aaaa"], ["a"]),
    ("^a{1,3}$", ["a", "aaa"], ["", "aaaa"]), ("^a{0}$", [""], ["a"]),
    ("^(?:ab){2}$", ["abab"], ["ab"]), ("^a*?b$", ["aab"], ["aa"]),
    ("^[a-c]+$", ["abc"], ["abd", ""]), ("^[^a-c]$", ["d", "🦊"], ["a"]),
    ("^[a-]$", ["a", "-"], ["b"]), ("^[]$", [], ["", "]"]), ("^[^]$", ["x", "\n"], [""]),
    (#"^\d{4}-\d\d$"#, ["2026-01"], ["2026-1", "٤٤٤٤-٤٤"]),
    (#"^[\w.]+@[\w.]+$"#, ["a.b@c_d"], ["a b@c"]), (#"^[^\W\d]+$"#, ["ab_"], ["a1", "-"]),
    (#"^\S+\s\S+$"#, ["a b", "a\u{00A0}b"], ["ab", "a  b"]), (#"^[\D]$"#, ["x"], ["1"]),
    (#"\bcat\b"#, ["a cat.", "cat"], ["concat", "cats"]), (#"a\Bb"#, ["ab"], ["a b"]),
    (#"^\u0041\x42\u{1F98A}$"#, ["AB🦊"], ["AB"]), (#"^\.\*\\\/$"#, [#".*\/"#], ["xx"]),
    ("^.$", ["x", "🦊"], ["", "\n", "xy"]), ("^(|a)$", ["", "a"], ["b"]),
    ("^(a*)*$", ["", "aaa"], ["b"]), ("^((a{2}){2}){2}$", ["aaaaaaaa"], ["aaaaaaa"]),
    ("x^", [], ["x"]), (#"^[\b]$"#, ["\u{8}"], ["b"]),
  ]

  @Test(arguments: patterns)
  func patternsMatch(_ one: (pattern: String, matches: [String], others: [String])) throws {
    for text in one.matches { #expect(try fits("pattern", one.pattern, text), "\(text)") }
    for text in one.others { #expect(try !fits("pattern", one.pattern, text), "\(text)") }
  }

  static let refused = [
    "(", ")", "(a", "[a", "a]", "}", "*a", "+", "a**", "a{2", "a{3,2}", "a{,3}", "a{x}", "^*",
    #"\"#, #"\1"#, #"(a)\1"#, #"\k<n>"#, "(?=a)", "(?!a)", "(?<=a)", "(?<n>a)", #"\p{L}"#, #"\q"#,
    #"\u12"#, #"\u{110000}"#, #"\x1"#, "[b-a]", #"[\d-z]"#, "a{1001}", "(a{100}){100}",
    String(repeating: "(", count: 40) + String(repeating: ")", count: 40),
    String(repeating: "a", count: 1_001),
  ]

  @Test(arguments: refused) func whatIsNotKnownIsRefused(_ pattern: String) {
    #expect(throws: SchemaFailure.self) { try JSONSchema(["pattern": .string(pattern)]) }
  }

  /// The classic that takes 2ⁿ steps where alternatives are tried one after the other.
  @Test func nestedRepeatsDoNotExplode() throws {
    #expect(try !fits("pattern", "^(a+)+$", String(repeating: "a", count: 10_000) + "b"))
    #expect(try !fits("pattern", "^(a|a)*$", String(repeating: "a", count: 10_000) + "b"))
  }

  @Test func longTextsAgainstLargePatternsAreGivenUp() throws {
    let schema = try JSONSchema(["pattern": "(a?){300}b"])
    let found = schema.violations(of: .string(String(repeating: "a", count: 1 << 20)))
    #expect(found.map(\.message).contains { $0.contains("given up") })
  }

  static let formats: [(format: String, good: [String], bad: [String])] = [
    (
      "date-time",
      [
        "2026-02-28T23:59:59Z", "2024-02-29t00:00:00.123456789012z", "2026-01-01T00:00:00+23:59",
        "1990-12-31T23:59:60Z", "1990-12-31T15:59:60-08:00",
      ],
      [
        "2026-02-29T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.Z", "",
        "2026-01-01T00:00:00+24:00",
      ]
    ),
    (
      "date", ["2026-12-31", "2000-02-29"], ["1900-02-29", "2026-13-01", "2026-00-01", "26-01-01"]
    ),
    ("time", ["00:00:00Z", "23:59:59.5+01:00"], ["00:00:00", "00:00Z", "0:00:00Z", "00:60:00Z"]),
    (
      "email", ["a@b", "first.last+tag@example.co", "!#$@x-y.z"],
      ["", "a", "@b", "a@", ".a@b", "a..b@c", "a@-b", "a@b-", "a b@c", "a@b..c"]
    ),
    (
      "uuid", ["2EB8AA08-aa98-11ea-b4aa-73b441d16380"],
      ["2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638", "g"]
    ),
    (
      "uri", ["http://a/b?c#d", "urn:x:y", "mailto:a@b", "x:", "http://[::1]/%41"],
      ["/a", "a", "://x", "1x:y", "http://a b", "http://a/%4", "http://a#b#c", "http://ä"]
    ),
    (
      "ipv4", ["0.0.0.0", "255.1.2.3"], ["256.0.0.0", "1.2.3", "01.2.3.4", "1.2.3.4.5", "a.b.c.d"]
    ),
    (
      "ipv6", ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::8", "::ffff:1.2.3.4", "fe80::a:b"],
      [
        "", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "1:",
        ":1", "1:2:3:4:5:6:7::8", "1.2.3.4::", "::1.2.3.256",
      ]
    ),
  ]

  @Test(arguments: formats)
  func formatsAreChecked(_ one: (format: String, good: [String], bad: [String])) throws {
    for text in one.good { #expect(try fits("format", one.format, text), "\(text)") }
    for text in one.bad { #expect(try !fits("format", one.format, text), "\(text)") }
  }
}
