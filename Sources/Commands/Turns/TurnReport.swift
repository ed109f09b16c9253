import Base

/// What people are told about a turn's end beside its answer.
enum TurnReport {
  /// One line a source, after a heading; nothing without sources.
  static func sources(_ sources: JSON?) -> [String] {
    guard let items = sources?.array, !items.isEmpty else { return [] }
    return ["sources:"]
      + items.map { source in
        let heading = source["heading"]?.string.map { " (\($0))" } ?? ""
        let score = source["score"]?.number.map { " \(Quantity.fixed($0, places: 2))" } ?? ""
        return "  \(source["document"]?.string ?? "?")\(heading)\(score)"
      }
  }

  /// `receipt: 11 tokens in, 30 tokens out, provider 812 ms, node 1.2 ms, cost unknown`
  static func receipt(_ receipt: JSON) -> String {
    func count(_ name: String) -> Int64 { receipt[name]?.int ?? 0 }
    var parts = ["\(count("tokens_in")) tokens in", "\(count("tokens_out")) tokens out"]
    if count("tokens_cached") > 0 { parts.append("\(count("tokens_cached")) tokens cached") }
    parts.append("provider \(Quantity.time(microseconds: count("provider_us")))")
    if count("tools_us") > 0 {
      parts.append("tools \(Quantity.time(microseconds: count("tools_us")))")
    }
    parts.append("node \(Quantity.time(microseconds: count("node_us")))")
    if count("retries") > 0 { parts.append("\(count("retries")) retries") }
    parts.append(cost(receipt))
    return "receipt: " + parts.joined(separator: ", ")
  }

  /// `provider_timeout: nothing came for 30s`
  static func describe(error: JSON) -> String {
    let code = error["code"]?.string ?? "internal"
    guard let message = error["message"]?.string, !message.isEmpty else { return code }
    return "\(code): \(TerminalText.safe(message))"
  }

  /// A price that is unknown is not a price of nothing.
  private static func cost(_ receipt: JSON) -> String {
    guard let micros = receipt["cost_micros"]?.int else { return "cost unknown" }
    let currency = receipt["currency"]?.string ?? ""
    let about = receipt["estimated"]?.bool == true ? "about " : ""
    return "cost \(about)\(Quantity.fixed(Double(micros) / 1e6, places: 6)) \(currency)"
  }
}
