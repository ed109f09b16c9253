import Base
import Observability
import Testing

/// Contract: one record is exactly one line, JSON in SURFACE's shape, whatever its strings hold.
/// It cannot show how a terminal renders the line.
@Suite struct LogLineTests {
  @Test func writesTheShapeOfTheSurface() {
    let line = LogLine.json(record("a thing", trace: "ab", ["n": 7, "who": "x"]))
    #expect(
      String(decoding: line, as: UTF8.self)
        == #"{"time":"2026-11-25T22:10:21.123456Z","level":"info","module":"test","#
        + #""message":"a thing","trace_id":"ab","n":7,"who":"x"}"# + "\n")
  }

  /// Every scalar up to U+00FF and the line separators, in message, field name and field value.
  @Test func keepsOneLineForEveryControlCharacter() throws {
    let scalars = (0...0xFF).map { UnicodeScalar($0)! } + ["\u{2027}", "\u{2028}", "\u{2029}"]
    for scalar in scalars {
      let text = "a\(Character(scalar))b"
      for line in [
        LogLine.json(record(text, [text: .string(text)])),
        LogLine.text(record(text, [text: .string(text)])),
      ] {
        #expect(line.filter { $0 < 0x20 || $0 == 0x7F } == [0x0A], "U+\(scalar.value)")
        #expect(line.last == 0x0A)
        let decoded = String(decoding: line, as: UTF8.self).unicodeScalars
        #expect(!decoded.dropLast().contains { isControl($0) }, "U+\(scalar.value)")
      }
      let parsed = try JSON(parsing: LogLine.json(record(text, [text: .string(text)])))
      #expect(parsed["message"]?.string == text)
      #expect(parsed[text]?.string == text)
    }
  }

  @Test func aFieldCannotTakeOverAName() throws {
    let parsed = try JSON(
      parsing: LogLine.json(record("real", ["message": "fake", "level": "error", "n": 1])))
    #expect(parsed["message"]?.string == "real")
    #expect(parsed["level"]?.string == "info")
    #expect(parsed["n"]?.int == 1)
  }

  @Test(arguments: [0, 1, 40_000, 200_000])
  func boundsTheLine(length: Int) throws {
    let long = record(
      String(repeating: "m", count: length), trace: "t",
      ["f": .string(String(repeating: "é", count: length))])
    for line in [LogLine.json(long), LogLine.text(long)] { #expect(line.count <= LogLine.bytesMax) }
    let parsed = try JSON(parsing: LogLine.json(long))
    #expect(parsed["trace_id"]?.string == "t")
    #expect((parsed["cut_bytes"] != nil) == (length >= 40_000))
  }

  @Test func writesTextForPeople() {
    let line = LogLine.text(record("it is", trace: "ab", ["n": 7, "s": "plain", "q": "two words"]))
    #expect(
      String(decoding: line, as: UTF8.self)
        == "2026-11-25T22:10:21.123456Z INFO test: it is n=7 s=plain q=\"two words\" trace_id=ab\n")
  }

  private func isControl(_ scalar: UnicodeScalar) -> Bool {
    scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) || scalar == "\u{2028}"
      || scalar == "\u{2029}"
  }
}
