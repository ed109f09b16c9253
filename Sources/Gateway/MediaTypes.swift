import HTTP

/// What a request says about the types it sends and wants (RFC 9110 sections 8.3 and 12.5.1).
enum MediaTypes {
  static let json = "application/json"
  static let eventStream = "text/event-stream"
  static let jsonLines = "application/x-ndjson"

  /// Whether `Accept` asks for an event stream by name; wildcards do not.
  static func wantsEventStream(_ fields: HTTPFields) -> Bool {
    fields.values("accept").contains { value in
      value.split(separator: ",").contains { name(of: $0) == eventStream }
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
