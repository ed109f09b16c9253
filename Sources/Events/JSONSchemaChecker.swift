import Base

/// Checks one value against one schema; counts what it costs and gives up at a limit.
struct SchemaChecker {
  private enum Step {
    case name(String)
    case index(Int)
  }

  private let schema: JSONSchema
  private var limit: Int
  private(set) var violations: [SchemaViolation] = []
  private var path: [Step] = []
  private var steps = 0
  /// How many `anyOf` around this place are being tried.
  private var attemptDepth = 0

  init(schema: JSONSchema, limit: Int) {
    self.schema = schema
    self.limit = limit
  }

  /// Nothing was found wrong after this point, because nothing was looked at.
  var hasGivenUp: Bool { steps > JSONSchema.stepsMax }

  private var isDone: Bool { violations.count >= limit || hasGivenUp }

  mutating func check(_ value: JSON, against index: Int) {
    guard charge(1), violations.count < limit else { return }
    let node = schema.nodes[index]
    if node.refusesAll { return violate("nothing is allowed here") }
    if let types = node.types, types.isDisjoint(with: JSONSchema.TypeSet(of: value)) {
      return violate("expected \(types.names.joined(separator: " or ")), found \(value.typeName)")
    }
    if let reference = node.reference { check(value, against: reference) }
    checkChoice(value, node)
    switch value {
    case .object(let object): checkObject(object, node)
    case .array(let items): checkArray(items, node)
    case .string(let text): checkString(text, node)
    case .int, .double: checkNumber(value, node)
    case .null, .bool: break
    }
    if !node.alternatives.isEmpty { checkAlternatives(value, node) }
  }

  private mutating func checkChoice(_ value: JSON, _ node: JSONSchema.Node) {
    if let constant = node.constant, charge(constant.valueCount), !constant.equalsByValue(value) {
      violate("expected \(Self.quoted(constant))")
    }
    guard let choices = node.choices else { return }
    for choice in choices {
      guard charge(choice.valueCount), !choice.equalsByValue(value) else { return }
    }
    violate("expected one of \(Self.quoted(.array(choices)))")
  }

  private mutating func checkObject(_ object: JSONObject, _ node: JSONSchema.Node) {
    for name in node.required {
      // Looking a member up is linear.
      guard charge(1 + object.members.count / 8), !isDone else { return }
      if object[name] == nil { violate("the member '\(name)' is missing") }
    }
    guard !node.properties.isEmpty || node.additionalProperties != nil else { return }
    for member in object.members where !isDone {
      path.append(.name(member.name))
      if let property = node.properties[member.name] {
        check(member.value, against: property)
      } else if let additional = node.additionalProperties {
        if schema.nodes[additional].refusesAll {
          violate("a member of that name is not allowed")
        } else {
          check(member.value, against: additional)
        }
      }
      path.removeLast()
    }
  }

  private mutating func checkArray(_ items: [JSON], _ node: JSONSchema.Node) {
    if let minimum = node.countMin, items.count < minimum {
      violate("expected at least \(minimum) items, found \(items.count)")
    }
    if let maximum = node.countMax, items.count > maximum {
      violate("expected at most \(maximum) items, found \(items.count)")
    }
    guard let schema = node.items else { return }
    for (index, item) in items.enumerated() where !isDone {
      path.append(.index(index))
      check(item, against: schema)
      path.removeLast()
    }
  }

  private mutating func checkString(_ text: String, _ node: JSONSchema.Node) {
    if node.lengthMin != nil || node.lengthMax != nil {
      let length = text.unicodeScalars.count
      if let minimum = node.lengthMin, length < minimum {
        violate("expected at least \(minimum) characters, found \(length)")
      }
      if let maximum = node.lengthMax, length > maximum {
        violate("expected at most \(maximum) characters, found \(length)")
      }
    }
    if let pattern = node.pattern {
      // The text is read once; at each character up to all of the program may be alive.
      let cost = (text.utf8.count + 1).multipliedReportingOverflow(by: pattern.size)
      guard charge(cost.overflow ? Int.max : cost.partialValue / 16) else { return }
      if !pattern.matches(text) { violate("does not match the pattern \(pattern.source)") }
    }
    if let format = node.format, !format.accepts(text) {
      violate("is not of the format \(format.rawValue)")
    }
  }

  private mutating func checkNumber(_ value: JSON, _ node: JSONSchema.Node) {
    if let minimum = node.minimum, value.precedes(minimum) {
      violate("expected at least \(minimum.text)")
    }
    if let maximum = node.maximum, maximum.precedes(value) {
      violate("expected at most \(maximum.text)")
    }
  }

  private mutating func checkAlternatives(_ value: JSON, _ node: JSONSchema.Node) {
    let outside = (violations: violations, limit: limit)
    attemptDepth += 1
    defer { attemptDepth -= 1 }
    limit = 1
    var closest: SchemaViolation?
    for alternative in node.alternatives {
      violations = []
      check(value, against: alternative)
      guard let violation = violations.first else {
        (violations, limit) = outside
        return
      }
      // The attempt that came furthest into the value is most likely the one that was meant.
      if violation.pointer.utf8.count > closest?.pointer.utf8.count ?? -1 { closest = violation }
    }
    (violations, limit) = outside
    guard !isDone, let closest else { return }
    // An alternative's own alternatives would make the message as long as the value is deep.
    let reason = attemptDepth > 1 ? "" : ": \(closest)"
    violate("fits none of the \(node.alternatives.count) schemas of anyOf\(reason)")
  }

  /// False when the check has become too expensive; `hasGivenUp` then says so.
  private mutating func charge(_ cost: Int) -> Bool {
    guard !hasGivenUp else { return false }
    steps += min(cost, JSONSchema.stepsMax + 1)
    return !hasGivenUp
  }

  private mutating func violate(_ message: String) {
    guard violations.count < limit else { return }
    violations.append(SchemaViolation(pointer: pointer, message: message))
  }

  private var pointer: String {
    path.map { step in
      switch step {
      case .name(let name): "/" + JSONPointer.escape(name)
      case .index(let index): "/\(index)"
      }
    }.joined()
  }

  /// JSON text, cut where it would make a message unreadable.
  private static func quoted(_ value: JSON) -> String {
    let text = value.text
    return text.count <= 200 ? text : text.prefix(200) + "…"
  }
}
