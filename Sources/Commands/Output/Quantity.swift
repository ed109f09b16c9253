/// Numbers for people.
enum Quantity {
  /// `0.83` for 2 places; rounds half away from zero.
  static func fixed(_ value: Double, places: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let scaled = Int64((abs(value) * scale).rounded())
    let whole = scaled / Int64(scale)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard places > 0 else { return "\(sign)\(whole)" }
    let fraction = String(scaled % Int64(scale))
    let padding = String(repeating: "0", count: places - fraction.count)
    return "\(sign)\(whole).\(padding)\(fraction)"
  }

  /// `850 us`, `1.2 ms`, `12.3 s`
  static func time(microseconds: Int64) -> String {
    switch abs(microseconds) {
    case ..<1_000: "\(microseconds) us"
    case ..<1_000_000: "\(fixed(Double(microseconds) / 1e3, places: 1)) ms"
    default: "\(fixed(Double(microseconds) / 1e6, places: 1)) s"
    }
  }

  /// `512 B`, `1.5 MiB`
  static func bytes(_ count: Int) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"]
    guard count >= 1_024 else { return "\(count) B" }
    var value = Double(count) / 1_024
    var unit = 0
    while value >= 1_024, unit < units.count - 1 {
      value /= 1_024
      unit += 1
    }
    return "\(fixed(value, places: 1)) \(units[unit])"
  }
}
