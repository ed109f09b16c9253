// Durations and sizes as people write them: `^\d+(us|ms|s|m|h|d)$` and `^\d+(B|KiB|MiB|GiB)$`.

extension Nanoseconds {
  /// Reads `250ms`, `10m`, `30d` …; nil for anything else, and above 292 years.
  package init?(duration text: String) {
    let units: [(String, Int64)] = [
      ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
      ("h", 3_600_000_000_000), ("d", 86_400_000_000_000),
    ]
    guard let count = parseUnit(text, units) else { return nil }
    self.init(count)
  }

  /// The shortest exact form: `10s`, `250ms`, `0s`.
  package var durationText: String {
    let units: [(String, Int64)] = [
      ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
      ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000),
    ]
    guard count != 0 else { return "0s" }
    for (name, scale) in units where count % scale == 0 { return "\(count / scale)\(name)" }
    return "\(count / 1_000)us"
  }
}

/// A number of bytes.
package struct ByteCount: Hashable, Comparable, Sendable {
  package var bytes: Int

  package init(_ bytes: Int) { self.bytes = bytes }

  /// Reads `64KiB`, `1GiB`, `512B` …; nil for anything else.
  package init?(size text: String) {
    let units: [(String, Int64)] = [
      ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
    ]
    guard let count = parseUnit(text, units) else { return nil }
    bytes = Int(count)
  }

  package var sizeText: String {
    for (name, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)]
    where bytes != 0 && bytes & ((1 << shift) - 1) == 0 {
      return "\(bytes >> shift)\(name)"
    }
    return "\(bytes)B"
  }

  package static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }
}

private func parseUnit(_ text: String, _ units: [(String, Int64)]) -> Int64? {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  guard !digits.isEmpty, let count = Int64(digits) else { return nil }
  let unit = text[digits.endIndex...]
  guard let scale = units.first(where: { $0.0 == unit })?.1 else { return nil }
  let (product, overflow) = count.multipliedReportingOverflow(by: scale)
  return overflow ? nil : product
}
