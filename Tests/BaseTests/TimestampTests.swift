// Contract: a timestamp is written as RFC 3339 in UTC with six digits, for every day of the years
// 0 to 9999, and read back from every form RFC 3339 has; everything else is nil.
import Base
import Testing

@Suite struct TimestampTests {
  /// Walks the calendar day by day, by the rules people know, beside the arithmetic under test.
  @Test func everyDayOfTheCalendar() {
    var (year, month, day) = (0, 1, 1)
    var text = ""
    var microseconds: Int64 = -62_167_219_200_000_000
    var wrong = 0
    while year <= 9_999 {
      text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T00:00:00.000000Z"
      if Timestamp(microseconds: microseconds).rfc3339 != text { wrong += 1 }
      if Timestamp(rfc3339: text)?.microseconds != microseconds { wrong += 1 }
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
      day += 1
      if day > days { (day, month) = (1, month + 1) }
      if month > 12 { (month, year) = (1, year + 1) }
      microseconds += 86_400_000_000
      // All days of three centuries around now, and of every hundredth year.
      if !(1_800..<2_100).contains(year), year % 100 != 0 {
        let next = min(
          10_000, year < 1_800 ? min(1_800, year / 100 * 100 + 100) : year / 100 * 100 + 100)
        let skipped = Self.days(from: year, to: next)
        if month == 1, day == 1 {
          microseconds += Int64(skipped) * 86_400_000_000
          year = next
        }
      }
    }
    #expect(wrong == 0)
  }

  private static func days(from year: Int, to end: Int) -> Int {
    (year..<end).reduce(0) {
      $0 + ($1 % 4 == 0 && ($1 % 100 != 0 || $1 % 400 == 0) ? 366 : 365)
    }
  }

  private func padded(_ value: Int, _ digits: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: digits - text.count) + text
  }

  @Test func everySecondOfADay() {
    let midnight: Int64 = 1_764_028_800_000_000  // 2025-11-25
    for second in 0..<86_400 {
      let time = Timestamp(microseconds: midnight + Int64(second) * 1_000_000 + 123_456)
      let text =
        "2025-11-25T\(padded(second / 3_600, 2)):\(padded(second / 60 % 60, 2))"
        + ":\(padded(second % 60, 2)).123456Z"
      guard time.rfc3339 == text, Timestamp(rfc3339: text) == time else {
        Issue.record("\(text) is written as \(time.rfc3339)")
        return
      }
    }
  }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0 as Int64), ("1970-01-01t00:00:00z", 0),
    ("1969-12-31T23:59:59.999999Z", -1), ("1970-01-01T00:00:00.1Z", 100_000),
    ("1970-01-01T00:00:00.123456789Z", 123_456), ("1970-01-01T01:00:00+01:00", 0),
    ("1969-12-31T12:30:00-11:30", 0), ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
    ("2000-02-29T00:00:00-00:00", 951_782_400_000_000),
  ])
  func readsEveryForm(_ text: String, _ microseconds: Int64) {
    #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
  }

  @Test(arguments: [
    "", "1970", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-1-01T00:00:00Z",
    "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z", "1970-01-32T00:00:00Z",
    "1900-02-29T00:00:00Z", "1970-04-31T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00.1234567890Z",
    "1970-01-01T00:00:00+1:00", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+00:60",
    "1970-01-01T00:00:00+0000", "1970-01-01T00:00:00Zx", "+970-01-01T00:00:00Z",
    "1970-01-01T00:00:00.5", "٠970-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
    // Outside the years that can be written back.
    "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01",
  ])
  func refusesEverythingElse(_ text: String) { #expect(Timestamp(rfc3339: text) == nil) }

  @Test func timeMovesByDurations() {
    let start = Timestamp(microseconds: 10)
    #expect(start.adding(.milliseconds(2)) == Timestamp(microseconds: 2_010))
    #expect(start < start.adding(.seconds(1)))
  }
}
