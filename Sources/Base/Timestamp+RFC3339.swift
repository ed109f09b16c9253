// RFC 3339 in the one form the project writes (UTC, six fractional digits) and the forms it reads.

extension Timestamp {
  /// The years 0 to 9999: what four digits can write. An offset can lead out of them.
  private static let secondsWritable: Range<Int64> = -62_167_219_200..<253_402_300_800

  /// `2026-11-25T22:10:21.123456Z`
  package var rfc3339: String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(27)
    appendRFC3339(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Appends the 27 bytes of `rfc3339`.
  package func appendRFC3339(to bytes: inout [UInt8]) {
    let secondsTotal = floorDivide(microseconds, 1_000_000)
    let fraction = microseconds &- secondsTotal &* 1_000_000
    let days = floorDivide(secondsTotal, 86_400)
    let secondOfDay = secondsTotal &- days &* 86_400
    let date = civil(fromDays: days)
    appendDecimal(Int64(date.year), digits: 4, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    appendDecimal(Int64(date.month), digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "-"))
    appendDecimal(Int64(date.day), digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "T"))
    appendDecimal(secondOfDay / 3_600, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    appendDecimal(secondOfDay / 60 % 60, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    appendDecimal(secondOfDay % 60, digits: 2, to: &bytes)
    bytes.append(UInt8(ascii: "."))
    appendDecimal(fraction, digits: 6, to: &bytes)
    bytes.append(UInt8(ascii: "Z"))
  }

  /// Reads RFC 3339 with any offset and up to nine fractional digits (those below a microsecond
  /// are dropped). Nil for anything else, and for times whose year in UTC has not four digits; a
  /// leap second counts as the second after it.
  package init?(rfc3339 text: String) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int64? {
      guard range.upperBound <= bytes.count else { return nil }
      var value: Int64 = 0
      for index in range {
        guard bytes[index] >= 48, bytes[index] <= 57 else { return nil }
        value = value * 10 + Int64(bytes[index] - 48)
      }
      return value
    }
    guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
      bytes[10] | 0x20 == UInt8(ascii: "t"), bytes[13] == UInt8(ascii: ":"),
      bytes[16] == UInt8(ascii: ":"),
      let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
      (1...12).contains(month), day >= 1, day <= daysIn(month: Int(month), year: Int(year)),
      hour < 24, minute < 60, second <= 60
    else { return nil }
    var at = 19
    var fraction: Int64 = 0
    if bytes[at] == UInt8(ascii: ".") {
      at += 1
      let start = at
      var scale: Int64 = 100_000
      while at < bytes.count, bytes[at] >= 48, bytes[at] <= 57 {
        fraction += Int64(bytes[at] - 48) * scale
        scale /= 10
        at += 1
      }
      guard at > start, at - start <= 9 else { return nil }
    }
    guard at < bytes.count else { return nil }
    var offset: Int64 = 0
    switch bytes[at] {
    case UInt8(ascii: "Z"), UInt8(ascii: "z"): at += 1
    case UInt8(ascii: "+"), UInt8(ascii: "-"):
      guard bytes.count == at + 6, bytes[at + 3] == UInt8(ascii: ":"),
        let hours = number(at + 1..<at + 3), let minutes = number(at + 4..<at + 6),
        hours < 24, minutes < 60
      else { return nil }
      offset = (hours * 60 + minutes) * 60 * (bytes[at] == UInt8(ascii: "+") ? 1 : -1)
      at += 6
    default: return nil
    }
    guard at == bytes.count else { return nil }
    let days = daysFromCivil(year: Int(year), month: Int(month), day: Int(day))
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
    guard Self.secondsWritable.contains(seconds) else { return nil }
    self.init(microseconds: seconds * 1_000_000 + fraction)
  }
}

private func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
  let quotient = value / divisor
  return value % divisor < 0 ? quotient - 1 : quotient
}

private func appendDecimal(_ value: Int64, digits: Int, to bytes: inout [UInt8]) {
  var scale: Int64 = 1
  for _ in 1..<digits { scale *= 10 }
  while scale > 0 {
    bytes.append(UInt8(48 + value / scale % 10))
    scale /= 10
  }
}

private func daysIn(month: Int, year: Int) -> Int64 {
  let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
  return month == 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in 400-year eras of
/// 146,097 days that begin on 1 March.
private func daysFromCivil(year: Int, month: Int, day: Int) -> Int64 {
  let shifted = Int64(month <= 2 ? year - 1 : year)
  let era = floorDivide(shifted, 400)
  let yearOfEra = shifted - era * 400
  let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
  let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/// The inverse of `daysFromCivil`.
private func civil(fromDays days: Int64) -> (year: Int, month: Int, day: Int) {
  let shifted = days + 719_468
  let era = floorDivide(shifted, 146_097)
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let monthIndex = (5 * dayOfYear + 2) / 153
  let month = Int(monthIndex < 10 ? monthIndex + 3 : monthIndex - 9)
  return (
    Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0), month,
    Int(dayOfYear - (153 * monthIndex + 2) / 5 + 1)
  )
}
