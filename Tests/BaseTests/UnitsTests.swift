// Contract: durations and sizes are read from exactly the forms of docs/surface.md, and written in
// the shortest form that reads back.
import Base
import Testing

@Suite struct UnitsTests {
  @Test(arguments: [
    ("0s", 0 as Int64), ("1us", 1_000), ("250ms", 250_000_000), ("10s", 10_000_000_000),
    ("5m", 300_000_000_000), ("2h", 7_200_000_000_000), ("30d", 2_592_000_000_000_000),
    ("007s", 7_000_000_000), ("106751d", 9_223_286_400_000_000_000),
  ])
  func durationsAreRead(_ text: String, _ nanoseconds: Int64) {
    #expect(Nanoseconds(duration: text)?.count == nanoseconds)
  }

  @Test(arguments: [
    "", "s", "10", "10 s", "-1s", "+1s", "1.5s", "1S", "1sec", "1s ", "1m1s", "106752d", "1ns",
    "99999999999999999999s", "٣s",
  ])
  func otherDurationsAreNot(_ text: String) { #expect(Nanoseconds(duration: text) == nil) }

  @Test(arguments: ["0s", "1us", "1500ms", "10s", "90s", "25h", "1d", "999us", "61m"])
  func durationsAreWrittenShort(_ text: String) throws {
    let value = try #require(Nanoseconds(duration: text))
    #expect(Nanoseconds(duration: value.durationText) == value)
    #expect(value.durationText == text)
  }

  @Test(arguments: [
    ("0B", 0), ("512B", 512), ("1KiB", 1_024), ("64MiB", 64 << 20), ("2GiB", 2 << 30),
  ])
  func sizesAreRead(_ text: String, _ bytes: Int) {
    #expect(ByteCount(size: text)?.bytes == bytes)
    #expect(ByteCount(bytes).sizeText == text)
  }

  @Test(arguments: ["", "B", "1", "1KB", "1kib", "-1B", "1.5GiB", "9223372036854775807GiB"])
  func otherSizesAreNot(_ text: String) { #expect(ByteCount(size: text) == nil) }
}
