package import Base

/// What a server says about when to ask again: `retry-after-ms`, `retry-after` (RFC 9110 section
/// 10.2.3: seconds, by some vendors with a fraction, or a date). What cannot be read is ignored.
package enum RetryAfter {
  /// How long from `now`; nil without a usable header. A date in the past is zero.
  package static func parse(
    milliseconds: String?, value: String?, now: Timestamp
  ) -> Nanoseconds? {
    if let milliseconds, let wait = duration(milliseconds, scale: 1e6) { return wait }
    guard let value else { return nil }
    if let wait = duration(value, scale: 1e9) { return wait }
    guard let date = httpDate(value) else { return nil }
    return Nanoseconds(max(0, date.microseconds - now.microseconds) * 1_000)
  }

  private static func duration(_ text: String, scale: Double) -> Nanoseconds? {
    let text = trimmed(text)
    guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) || $0 == 0x2E }),
      let number = Double(text), number * scale < 9e18
    else { return nil }
    return Nanoseconds(Int64(number * scale))
  }

  /// IMF-fixdate, the one form servers may send: `Sun, 06 Nov 1994 08:49:37 GMT`.
  private static func httpDate(_ text: String) -> Timestamp? {
    let parts = trimmed(text).split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", parts[1].count == 2, parts[3].count == 4,
      let month = months.firstIndex(of: String(parts[2]))
    else { return nil }
    let monthText = month < 9 ? "0\(month + 1)" : "\(month + 1)"
    return Timestamp(rfc3339: "\(parts[3])-\(monthText)-\(parts[1])T\(parts[4])Z")
  }

  private static func trimmed(_ text: String) -> String {
    let inside = text.drop { $0 == " " || $0 == "\t" }
    return String(inside.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }

  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
}
