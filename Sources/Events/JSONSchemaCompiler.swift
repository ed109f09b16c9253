import Base

/// Turns a schema's JSON into nodes, and refuses what cannot be checked.
struct SchemaCompiler {
  private var nodes: [JSONSchema.Node] = []
  /// The node at each place that holds a subschema.
  private var indexByPointer: [String: Int] = [:]
  private var references: [(node: Int, target: String, pointer: String)] = []

  mutating func compile(_ schema: JSON) throws(SchemaFailure) -> [JSONSchema.Node] {
    _ = try compile(schema, at: "")
    for reference in references {
      guard let index = indexByPointer[reference.target] else {
        throw .invalid(
          pointer: reference.pointer,
          reason: "'$ref' leads to no schema in this document; expected '#' or '#/$defs/NAME'")
      }
      nodes[reference.node].reference = index
    }
    try checkChains()
    return nodes
  }

  private mutating func compile(_ schema: JSON, at pointer: String) throws(SchemaFailure) -> Int {
    let index = nodes.count
    nodes.append(JSONSchema.Node())
    indexByPointer[pointer] = index
    switch schema {
    case .bool(let accepts): nodes[index].refusesAll = !accepts
    case .object(let object):
      for member in object.members {
        let place = pointer + "/" + JSONPointer.escape(member.name)
        try compile(keyword: member.name, member.value, at: place, of: index)
      }
    default:
      throw .invalid(
        pointer: pointer, reason: "a schema is an object or a boolean, not \(schema.typeName)")
    }
    return index
  }

  /// `pointer` is the keyword's own place. Keywords that hold no subschema are in `compileCheck`.
  private mutating func compile(
    keyword: String, _ value: JSON, at pointer: String, of index: Int
  ) throws(SchemaFailure) {
    switch keyword {
    case "properties": nodes[index].properties = try compileMap(value, at: pointer)
    case "$defs": _ = try compileMap(value, at: pointer)
    case "additionalProperties":
      nodes[index].additionalProperties = try compile(value, at: pointer)
    case "items": nodes[index].items = try compile(value, at: pointer)
    case "anyOf":
      guard let items = value.array, !items.isEmpty else {
        throw .invalid(pointer: pointer, reason: "'anyOf' is an array of at least one schema")
      }
      for (position, item) in items.enumerated() {
        let alternative = try compile(item, at: "\(pointer)/\(position)")
        nodes[index].alternatives.append(alternative)
      }
    case "$ref":
      guard let text = value.string, let target = Self.localPointer(text) else {
        throw .invalid(
          pointer: pointer, reason: "'$ref' is a reference into this schema: '#' or '#/$defs/NAME'"
        )
      }
      references.append((index, target, pointer))
    case "$schema" where index == 0:
      guard value.string == "https://json-schema.org/draft/2020-12/schema" else {
        throw .invalid(
          pointer: pointer, reason: "expected https://json-schema.org/draft/2020-12/schema")
      }
    case "$id" where index == 0, "title", "description":
      guard value.string != nil else {
        throw .invalid(pointer: pointer, reason: "'\(keyword)' is a string")
      }
    default: try compileCheck(keyword, value, at: pointer, into: &nodes[index])
    }
  }

  private mutating func compileMap(
    _ value: JSON, at pointer: String
  ) throws(SchemaFailure) -> [String: Int] {
    guard let object = value.object else {
      throw .invalid(pointer: pointer, reason: "expected an object of schemas")
    }
    var indices: [String: Int] = [:]
    for member in object.members {
      let place = pointer + "/" + JSONPointer.escape(member.name)
      indices[member.name] = try compile(member.value, at: place)
    }
    return indices
  }

  private func compileCheck(
    _ keyword: String, _ value: JSON, at pointer: String, into node: inout JSONSchema.Node
  ) throws(SchemaFailure) {
    switch keyword {
    case "type": node.types = try types(value, at: pointer)
    case "required": node.required = try strings(value, at: pointer)
    case "enum":
      guard let items = value.array else {
        throw .invalid(pointer: pointer, reason: "'enum' is an array")
      }
      node.choices = items
    case "const": node.constant = value
    case "minimum": node.minimum = try number(value, at: pointer)
    case "maximum": node.maximum = try number(value, at: pointer)
    case "minLength": node.lengthMin = try count(value, at: pointer)
    case "maxLength": node.lengthMax = try count(value, at: pointer)
    case "minItems": node.countMin = try count(value, at: pointer)
    case "maxItems": node.countMax = try count(value, at: pointer)
    case "pattern":
      guard let text = value.string else {
        throw .invalid(pointer: pointer, reason: "'pattern' is a string")
      }
      node.pattern = try pattern(text, at: pointer)
    case "format":
      guard let name = value.string else {
        throw .invalid(pointer: pointer, reason: "'format' is a string")
      }
      // A format that is not known here is an annotation, as the specification has it.
      node.format = SchemaFormat(rawValue: name)
    default: throw .keywordUnsupported(keyword: keyword, pointer: pointer)
    }
  }

  private func types(_ value: JSON, at pointer: String) throws(SchemaFailure)
    -> JSONSchema.TypeSet
  {
    let names: [JSON] = value.array ?? [value]
    var types: JSONSchema.TypeSet = []
    for name in names {
      guard let text = name.string, let type = JSONSchema.TypeSet(name: text) else {
        let known = JSONSchema.TypeSet.byName.map(\.key).joined(separator: ", ")
        throw .invalid(pointer: pointer, reason: "'type' is one of, or an array of: \(known)")
      }
      types.insert(type)
    }
    guard !types.isEmpty else {
      throw .invalid(pointer: pointer, reason: "'type' is an empty array")
    }
    return types
  }

  private func strings(_ value: JSON, at pointer: String) throws(SchemaFailure) -> [String] {
    guard let items = value.array, items.allSatisfy({ $0.string != nil }) else {
      throw .invalid(pointer: pointer, reason: "expected an array of strings")
    }
    return items.compactMap(\.string)
  }

  private func number(_ value: JSON, at pointer: String) throws(SchemaFailure) -> JSON {
    guard value.number != nil else { throw .invalid(pointer: pointer, reason: "expected a number") }
    return value
  }

  private func count(_ value: JSON, at pointer: String) throws(SchemaFailure) -> Int {
    guard let count = value.int, count >= 0 else {
      throw .invalid(pointer: pointer, reason: "expected an integer of 0 or more")
    }
    return Int(count)
  }

  private func pattern(_ text: String, at pointer: String) throws(SchemaFailure) -> SchemaPattern {
    do {
      return try SchemaPattern(text)
    } catch {
      throw .invalid(pointer: pointer, reason: error.reason)
    }
  }

  /// A chain of `$ref` and `anyOf` looks at the same value all along: a circle would never end.
  private func checkChains() throws(SchemaFailure) {
    /// Longest chain from each node; nil is unknown, 0 is being followed.
    var lengths = [Int?](repeating: nil, count: nodes.count)
    for start in nodes.indices where lengths[start] == nil {
      var path = [(node: start, next: 0)]
      lengths[start] = 0
      while let top = path.last {
        let targets = nodes[top.node].alternatives + [nodes[top.node].reference].compactMap(\.self)
        guard top.next < targets.count else {
          lengths[top.node] = 1 + (targets.compactMap { lengths[$0] }.max() ?? 0)
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let target = targets[top.next]
        if lengths[target] == 0 {
          throw .invalid(
            pointer: pointer(of: target), reason: "the schema refers to itself without end")
        }
        guard lengths[target] == nil else { continue }
        lengths[target] = 0
        path.append((target, 0))
      }
    }
    if let index = lengths.firstIndex(where: { $0! > JSONSchema.chainMax }) {
      throw .invalid(
        pointer: pointer(of: index),
        reason: "more than \(JSONSchema.chainMax) of '$ref' and 'anyOf' in a row")
    }
  }

  private func pointer(of node: Int) -> String {
    indexByPointer.first { $0.value == node }?.key ?? ""
  }

  /// The JSON Pointer in a reference of the form `#…`; nil for any other.
  private static func localPointer(_ reference: String) -> String? {
    guard reference.first == "#" else { return nil }
    var bytes: [UInt8] = []
    var rest = reference.utf8.dropFirst()
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%") {
        guard let high = rest.popFirst().flatMap(Hex.value(of:)),
          let low = rest.popFirst().flatMap(Hex.value(of:))
        else { return nil }
        bytes.append(high << 4 | low)
      } else {
        bytes.append(byte)
      }
    }
    let pointer = String(validating: bytes, as: UTF8.self)
    return pointer.flatMap { $0.isEmpty || $0.first == "/" ? $0 : nil }
  }
}
