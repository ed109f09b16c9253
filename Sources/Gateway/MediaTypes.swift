import HTTP

/// What a request says about the types it sends and wants (RFC 9110 sections 8.3 and 12.5.1).
enum MediaTypes {
  static let json = "application/json"
  static let eventStream = "text/event-stream"
  static let jsonLines = "application/x-ndjson"

  /// Whether `Accept` asks for an event stream by name; wildcards do not, nor does a weight of 0,
  /// which says "not this one".
  static func wantsEventStream(_ fields: HTTPFields) -> Bool {
    fields.values("accept").contains { value in
      value.split(separator: ",").contains { name(of: $0) == eventStream && !isUnwanted($0) }
    }
  }

  /// Whether a range of `Accept` has the weight 0 (RFC 9110 section 12.4.2).
  private static func isUnwanted(_ range: Substring) -> Bool {
    range.split(separator: ";").dropFirst().contains { parameter in
      let text = parameter.filter { $0 != " " && $0 != "\t" }.lowercased()
      return text.hasPrefix("q=") && Double(text.dropFirst(2)) == 0
    }
  }

  /// Whether the body is JSON; parameters do not count, JSON is always UTF-8.
  static func isJSON(_ fields: HTTPFields) -> Bool {
    let values = fields.values("content-type")
    return values.count == 1 && name(of: values[0][...]) == json
  }

  /// The type of `type; parameter=…` in lower case.
  private static func name(of value: Substring) -> String {
    let type = value.prefix { $0 != ";" }
    return String(type.filter { $0 != " " && $0 != "\t" }).lowercased()
  }
}
