package import Base

/// What a load run found. Times count from when a turn was meant to start, so a node that falls
/// behind shows it (no coordinated omission).
package struct LoadReport {
  package var planned = 0
  package var started = 0
  package var completed = 0
  /// By the turn's error code, the problem's code, or what happened to the connection.
  package var failures: [String: Int] = [:]
  /// Turns that the node was never asked for: no connection came about.
  package var unreachable = 0
  /// Running still when patience ended.
  package var unfinished = 0
  package var isInterrupted = false
  package var isOverSpent = false
  package var elapsed = Nanoseconds.zero
  package var tokensIn: Int64 = 0
  package var tokensOut: Int64 = 0
  /// Nil when no receipt knew a price.
  package var costMicros: Int64?
  package var firstText = LatencyHistogram()
  package var whole = LatencyHistogram()
  /// How late this program itself began turns.
  package var startLate = LatencyHistogram()

  package init() {}

  package var turnsPerSecond: Double {
    elapsed > .zero ? Double(completed) / elapsed.seconds : 0
  }

  static let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)]

  private var rows: [(name: String, key: String, histogram: LatencyHistogram)] {
    [
      ("first text", "first_text_us", firstText), ("whole turn", "turn_us", whole),
      ("started late by", "start_late_us", startLate),
    ]
  }

  package var json: JSON {
    var object: JSONObject = [
      "planned": .int(Int64(planned)), "started": .int(Int64(started)),
      "completed": .int(Int64(completed)), "unfinished": .int(Int64(unfinished)),
      "seconds": .double(elapsed.seconds), "turns_per_second": .double(turnsPerSecond),
      "tokens_in": .int(tokensIn), "tokens_out": .int(tokensOut),
      "cost_micros": costMicros.map { .int($0) } ?? .null,
    ]
    var failed = JSONObject()
    for (name, count) in failures.sorted(by: { $0.key < $1.key }) {
      failed[name] = .int(Int64(count))
    }
    object["failures"] = .object(failed)
    for row in rows { object[row.key] = Self.json(row.histogram) }
    return .object(object)
  }

  private static func json(_ histogram: LatencyHistogram) -> JSON {
    var object: JSONObject = ["count": .int(Int64(histogram.count))]
    for (name, fraction) in quantiles {
      object[name] = .int(Int64(histogram.quantile(fraction)))
    }
    object["max"] = .int(Int64(histogram.largest))
    object["mean"] = .double(histogram.mean)
    return .object(object)
  }

  func write(to output: OutputWriter) {
    output.line(
      "\(completed) of \(planned) turns completed in \(Quantity.fixed(elapsed.seconds, places: 1)) s"
        + " (\(Quantity.fixed(turnsPerSecond, places: 1)) a second); "
        + "\(tokensIn) tokens in, \(tokensOut) tokens out")
    for (name, count) in failures.sorted(by: { $0.key < $1.key }) {
      output.line("failed: \(count) \(name)")
    }
    if unfinished > 0 { output.line("unfinished: \(unfinished)") }
    var table = TextTable(
      [.init("FROM THE INTENDED START")]
        + Self.quantiles.map { .init($0.0, .right) } + [.init("max", .right)])
    for row in rows {
      let values = Self.quantiles.map { row.histogram.quantile($0.1) } + [row.histogram.largest]
      table.add([row.name] + values.map { Quantity.time(microseconds: Int64($0)) })
    }
    table.write(to: output)
  }
}
