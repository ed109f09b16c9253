package import Base

/// What a model costs, in micro-units of `currency` a million tokens.
package struct ModelPrice: Hashable, Sendable {
  package var input: Int
  package var output: Int
  /// Of prompt tokens the provider had cached; nil charges them as `input`.
  package var cached: Int?
  package var currency: String

  package init(input: Int, output: Int, cached: Int? = nil, currency: String = "USD") {
    self.input = input
    self.output = output
    self.cached = cached
    self.currency = currency
  }

  var json: JSON {
    var object: JSONObject = [
      "input": .int(Int64(input)), "output": .int(Int64(output)), "currency": .string(currency),
    ]
    if let cached { object["cached"] = .int(Int64(cached)) }
    return .object(object)
  }
}

/// The value of one configuration key, read and checked.
package enum ConfigValue: Hashable, Sendable {
  case string(String)
  case integer(Int)
  case number(Double)
  case boolean(Bool)
  case duration(Nanoseconds)
  case size(ByteCount)
  case strings([String])
  case map([String: String])
  case prices([String: ModelPrice])

  /// As `kfm config show --json` prints it.
  package var json: JSON {
    switch self {
    case .string(let text): .string(text)
    case .integer(let value): .int(Int64(value))
    case .number(let value): .double(value)
    case .boolean(let value): .bool(value)
    case .duration(let value): .string(value.durationText)
    case .size(let value): .string(value.sizeText)
    case .strings(let items): .array(items.map { .string($0) })
    case .map(let pairs): Self.object(pairs) { .string($0) }
    case .prices(let prices): Self.object(prices, \.json)
    }
  }

  /// For people: strings without quotes, the rest as JSON.
  package var text: String {
    if case .string(let text) = json { text } else { json.text }
  }

  private static func object<Item>(_ pairs: [String: Item], _ json: (Item) -> JSON) -> JSON {
    var object = JSONObject()
    for (name, item) in pairs.sorted(by: { $0.key < $1.key }) { object[name] = json(item) }
    return .object(object)
  }
}

/// Where a value was found.
package enum ConfigSource: Hashable, Sendable, CustomStringConvertible {
  case initial
  case file(String, line: Int)
  case environment(String)
  case flag(String)

  package var description: String {
    switch self {
    case .initial: "default"
    case .file(let path, let line): "\(path):\(line)"
    case .environment(let variable): "environment \(variable)"
    case .flag(let name): "flag \(name)"
    }
  }
}

/// One thing that is wrong with a configuration.
package struct ConfigIssue: Error, Hashable, Sendable, CustomStringConvertible {
  package var source: ConfigSource
  /// `table[index].key`, or "" for the file as a whole.
  package var key: String
  /// What is wrong; expected what. Never a secret.
  package var text: String

  /// One line: `FILE:LINE: table[index].key: what is wrong; expected …`.
  package var description: String {
    let place =
      switch source {
      case .initial: ""
      case .file(let path, 0): "\(path): "
      case .file(let path, let line): "\(path):\(line): "
      case .environment(let name), .flag(let name): "\(name): "
      }
    let line = place + (key.isEmpty ? text : "\(key): \(text)")
    return line.contains("\n") ? line.split(separator: "\n").joined(separator: " ") : line
  }
}

/// Why there is no configuration: every issue that was found, in the order of the file.
package struct ConfigFailure: Error, Sendable, CustomStringConvertible {
  package var issues: [ConfigIssue]

  /// One issue a line.
  package var description: String { issues.map(\.description).joined(separator: "\n") }
}
