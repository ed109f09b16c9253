package import Base

/// The table of keys as a JSON Schema (2020-12) of `config.toml`, for editors.
package enum ConfigSchema {
  package static var json: JSON {
    let root = Table()
    for key in ConfigKeys.all {
      root.add(key, ArraySlice(key.path.split(separator: ".").map(String.init)))
    }
    var object: JSONObject = [
      "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "kfm configuration",
    ]
    for member in root.schema.members { object[member.name] = member.value }
    return .object(object)
  }

  /// A table under construction.
  private final class Table {
    private var order: [String] = []
    private var keys: [String: ConfigKey] = [:]
    private var tables: [String: Table] = [:]

    func add(_ key: ConfigKey, _ path: ArraySlice<String>) {
      guard let name = path.first else { return }
      if keys[name] == nil, tables[name] == nil { order.append(name) }
      if path.count == 1 {
        keys[name] = key
      } else {
        let table = tables[name] ?? Table()
        tables[name] = table
        table.add(key, path.dropFirst())
      }
    }

    var schema: JSONObject {
      var properties = JSONObject()
      var required: [JSON] = []
      for name in order {
        if let key = keys[name] {
          properties[name] = ConfigSchema.schema(of: key)
          if case .required = key.initial { required.append(.string(name)) }
        } else if let table = tables[name] {
          let isArray = name.hasSuffix("[]")
          let inner = JSON.object(table.schema)
          properties[isArray ? String(name.dropLast(2)) : name] =
            isArray ? ["type": "array", "items": inner] : inner
        }
      }
      var object: JSONObject = [
        "type": "object", "additionalProperties": false, "properties": .object(properties),
      ]
      if !required.isEmpty { object["required"] = .array(required) }
      return object
    }
  }

  private static func schema(of key: ConfigKey) -> JSON {
    var object = type(of: key.kind)
    var words = key.summary
    switch key.initial {
    case .value(let value): object["default"] = value.json
    case .computed(let source, _): words += " Default: \(source)."
    case .none, .required: break
    }
    switch key.support {
    case .whole: break
    case .only(let names): words += " This version knows \(ConfigKey.list(names, "and"))."
    case .initialOnly: words += " Not in this version."
    }
    if key.isReloadable { words += " Reloaded while the node runs." }
    object["description"] = .string(words)
    return .object(object)
  }

  private static func type(of kind: ConfigKey.Kind) -> JSONObject {
    switch kind {
    case .string, .path, .embedder: ["type": "string"]
    case .name: ["type": "string", "pattern": "^(?:[A-Za-z0-9._-]{1,64}|.*\\$\\{.*)$"]
    case .url: ["type": "string", "pattern": "^https?://|\\$\\{"]
    case .address: ["type": "string", "pattern": ":\\d+$|\\$\\{"]
    case .integer(let range):
      [
        "type": "integer", "minimum": .int(Int64(range.lowerBound)),
        "maximum": .int(Int64(range.upperBound)),
      ]
    case .powerOfTwo(let maximum):
      [
        "type": "integer",
        "enum": .array(
          (0..<Int.bitWidth - 1).map { 1 << Int64($0) }.filter { $0 <= maximum }.map { .int($0) }),
      ]
    case .number(let range):
      [
        "type": "number", "minimum": .double(range.lowerBound),
        "maximum": .double(range.upperBound),
      ]
    case .boolean: ["type": "boolean"]
    case .duration: ["type": "string", "pattern": "^\\d+(us|ms|s|m|h|d)$|\\$\\{"]
    case .size: ["type": "string", "pattern": "^\\d+(B|KiB|MiB|GiB)$|\\$\\{"]
    case .choice(let names): ["type": "string", "enum": .array(names.map { .string($0) })]
    case .choices(let names):
      ["type": "array", "items": ["enum": .array(names.map { .string($0) })]]
    case .strings: ["type": "array", "items": ["type": "string"]]
    case .secretMap: ["type": "object", "additionalProperties": ["type": "string"]]
    case .logLevels:
      [
        "type": "object",
        "additionalProperties": ["enum": .array(LogLevel.allCases.map { .string("\($0)") })],
      ]
    case .classes:
      [
        "type": "object",
        "additionalProperties": ["type": "array", "items": ["type": "string"]],
      ]
    case .prices: ["type": "object", "additionalProperties": price]
    }
  }

  private static let price: JSON = [
    "type": "object", "additionalProperties": false, "required": ["input", "output"],
    "properties": [
      "input": ["type": "integer", "minimum": 0], "output": ["type": "integer", "minimum": 0],
      "cached": ["type": "integer", "minimum": 0], "currency": ["type": "string"],
    ],
  ]
}
