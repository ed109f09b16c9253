import Base

/// A value of the YAML subset manifests are written in, with its line.
struct YAMLNode: Sendable {
  enum Value: Sendable {
    /// `isPlain`: without quotes and no block, so that it may be a number or a boolean.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping([Member])
  }

  struct Member: Sendable {
    var name: String
    /// Of the name.
    var line: Int
    var node: YAMLNode
  }

  var value: Value
  /// Counted from 1.
  var line: Int

  /// In words, for messages.
  var kindName: String {
    switch value {
    case .scalar: isNull ? "nothing" : "a scalar"
    case .sequence: "a sequence"
    case .mapping: "a mapping"
    }
  }

  /// A scalar's text, also of what looks like a number; nil for other values and for none.
  var text: String? {
    if case .scalar(let text, _) = value, !isNull { text } else { nil }
  }

  var isNull: Bool {
    guard case .scalar(let text, isPlain: true) = value else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }

  /// YAML 1.2's core schema: what JSON the value is.
  var json: JSON {
    switch value {
    case .sequence(let items): return .array(items.map(\.json))
    case .mapping(let members):
      var object = JSONObject()
      for member in members { object[member.name] = member.node.json }
      return .object(object)
    case .scalar(let text, isPlain: false): return .string(text)
    case .scalar(let text, isPlain: true):
      if isNull { return .null }
      if ["true", "True", "TRUE"].contains(text) { return true }
      if ["false", "False", "FALSE"].contains(text) { return false }
      return Self.number(text) ?? .string(text)
    }
  }

  /// Decimal, `0o` and `0x` integers, and decimal fractions; JSON has no infinity.
  private static func number(_ text: String) -> JSON? {
    if text.hasPrefix("0o") { return Int64(text.dropFirst(2), radix: 8).map { .int($0) } }
    if text.hasPrefix("0x") { return Int64(text.dropFirst(2), radix: 16).map { .int($0) } }
    guard let first = text.utf8.first, (48...57).contains(first) || "+-.".utf8.contains(first),
      text.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }),
      text.utf8.contains(where: { (48...57).contains($0) })
    else { return nil }
    if let whole = Int64(text) { return .int(whole) }
    guard let value = Double(text), value.isFinite else { return nil }
    return .double(value)
  }

  /// The line of what a JSON Pointer leads to, as far as it leads.
  func line(at pointer: String) -> Int {
    var node = self
    var line = self.line
    for part in pointer.split(separator: "/") {
      let name = part.replacing("~1", with: "/").replacing("~0", with: "~")
      switch node.value {
      case .mapping(let members):
        guard let member = members.first(where: { $0.name == name }) else { return line }
        (node, line) = (member.node, member.line)
      case .sequence(let items):
        guard let index = Int(name), items.indices.contains(index) else { return line }
        (node, line) = (items[index], items[index].line)
      case .scalar: return line
      }
    }
    return line
  }
}
