// Contract: what is written is RFC 8259, and the canonical form is RFC 8785 for every double.
import Base
import Testing

@Suite struct JSONWriterTests {
  /// RFC 8785, appendix B, which gives each number's bits and its text.
  static let numbers: [(bits: UInt64, text: String)] = [
    (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"),
    (0x0000_0000_0000_0001, "5e-324"), (0x8000_0000_0000_0001, "-5e-324"),
    (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
    (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"),
    (0x4340_0000_0000_0000, "9007199254740992"), (0xC340_0000_0000_0000, "-9007199254740992"),
    (0x4430_0000_0000_0000, "295147905179352830000"),
    (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
    (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"),
    (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
    (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
    (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
    (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5554, "333333333.33333325"),
    (0x41B3_DE43_5555_5555, "333333333.3333333"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
    (0x41B3_DE43_5555_5557, "333333333.33333343"),
    (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
    (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
  ]

  @Test(arguments: numbers) func numbersAreECMAScripts(_ one: (bits: UInt64, text: String)) {
    #expect(JSON.double(Double(bitPattern: one.bits)).text == one.text)
  }

  @Test(arguments: [3 as UInt64]) func everyDoubleReadsBack(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    for _ in 0..<20_000 {
      let value = Double(bitPattern: random.next())
      guard value.isFinite else { continue }
      #expect(try JSON(parsing: JSON.double(value).text).number == value, "seed \(seed), \(value)")
    }
  }

  /// RFC 8785 section 3.2.3's example: UTF-16 order, in which 😀 is before U+FB33.
  @Test func namesAreSortedByUTF16() {
    let value: JSON = [
      "\u{20AC}": 1, "\r": 2, "\u{FB33}": 3, "1": 4, "\u{80}": 5, "\u{1F600}": 6, "\u{F6}": 7,
    ]
    #expect(
      String(decoding: value.canonical, as: UTF8.self)
        == "{\"\\r\":2,\"1\":4,\"\u{80}\":5,\"\u{F6}\":7,\"\u{20AC}\":1,\"\u{1F600}\":6,\"\u{FB33}\":3}"
    )
  }

  @Test func theCanonicalFormForgetsOrderAndSpelling() throws {
    let one = try JSON(parsing: #"{"b": [1.0, 1e2], "a": "\u0041"}"#)
    let other = try JSON(parsing: #"{ "a":"A","b":[1,100] }"#)
    #expect(one.canonical == other.canonical)
    #expect(one.encoded != other.encoded)
  }

  @Test func stringsEscapeWhatTheyMust() {
    let text = String(String.UnicodeScalarView((0..<0x20).map { UnicodeScalar(UInt8($0)) }))
    #expect(
      JSON.string(text + "\"\\/\u{7F}\u{2028}").text
        == "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r"
        + "\\u000e\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019"
        + "\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f\\\"\\\\/\u{7F}\u{2028}\"")
  }

  @Test func theWriterPlacesCommas() throws {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("a", "x")
    writer.name("b")
    writer.beginArray()
    writer.int(1)
    writer.bool(true)
    writer.null()
    writer.beginObject()
    writer.endObject()
    writer.beginArray()
    writer.endArray()
    writer.string("y")
    writer.endArray()
    writer.member("c", UInt64.max)
    writer.member("d", JSON.array([2]))
    writer.name("e\"")
    writer.raw(Array("{}".utf8))
    writer.endObject()
    #expect(
      String(decoding: writer.bytes, as: UTF8.self)
        == #"{"a":"x","b":[1,true,null,{},[],"y"],"c":18446744073709551615,"d":[2],"e\"":{}}"#)
  }

  @Test func pointersAreEscaped() {
    #expect(JSONPointer.escape("a/b~c") == "a~1b~0c")
    #expect(JSONPointer.escape("~1") == "~01")
    #expect(JSONPointer.escape("plain") == "plain")
  }
}
