package import Base

/// The Prometheus text exposition format 0.0.4.
package struct PrometheusText {
  package private(set) var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(16 << 10) }

  /// `# HELP` and `# TYPE` of the family that follows.
  mutating func begin(_ description: MetricDescription, kind: String) {
    let help = Self.escape(description.help, quotes: false)
    append("# HELP \(description.name) \(help)\n# TYPE \(description.name) \(kind)\n")
  }

  package mutating func sample(_ name: String, _ labels: String, _ value: Double) {
    append("\(name)\(labels) \(Self.number(value))\n")
  }

  package mutating func sample(_ name: String, _ labels: String, _ value: Int) {
    append("\(name)\(labels) \(value)\n")
  }

  /// `{a="x",b="y"}`; empty without labels.
  static func labels(_ names: [String], _ values: [String]) -> String {
    guard !names.isEmpty else { return "" }
    let pairs = zip(names, values).map { "\($0)=\"\(escape($1, quotes: true))\"" }
    return "{\(pairs.joined(separator: ","))}"
  }

  /// `labels` with one pair more.
  static func labels(_ labels: String, adding name: String, _ value: String) -> String {
    let pair = "\(name)=\"\(value)\""
    return labels.isEmpty ? "{\(pair)}" : "\(labels.dropLast()),\(pair)}"
  }

  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value) { return String(whole) }
    return "\(value)"
  }

  private static func escape(_ text: String, quotes: Bool) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}

extension Counter: MetricValue {
  package static var metricKind: String { "counter" }

  package func render(name: String, labels: String, into text: inout PrometheusText) {
    text.sample(name, labels, value)
  }
}

extension Gauge: MetricValue {
  package static var metricKind: String { "gauge" }

  package func render(name: String, labels: String, into text: inout PrometheusText) {
    text.sample(name, labels, value)
  }
}

extension DurationHistogram: MetricValue {
  package static var metricKind: String { "histogram" }

  package func render(name: String, labels: String, into text: inout PrometheusText) {
    let (buckets, sum) = snapshot()
    var total = 0
    for (index, count) in buckets.enumerated() {
      total += count
      let bound =
        index < Self.bounds.count ? PrometheusText.number(Self.bounds[index]) : "+Inf"
      text.sample("\(name)_bucket", PrometheusText.labels(labels, adding: "le", bound), total)
    }
    text.sample("\(name)_sum", labels, sum)
    text.sample("\(name)_count", labels, total)
  }
}
