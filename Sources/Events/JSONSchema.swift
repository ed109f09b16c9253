package import Base

/// Why a schema is refused before anything is checked against it.
package enum SchemaFailure: Error, Sendable, Hashable, CustomStringConvertible {
  /// The schema's text is longer than `JSONSchema.bytesMax`.
  case tooLarge(limit: Int)
  /// A keyword that this version does not check; `pointer` names it (RFC 6901, into the schema).
  case keywordUnsupported(keyword: String, pointer: String)
  /// A keyword with a value it cannot have.
  case invalid(pointer: String, reason: String)

  /// RFC 6901, into the schema; "" is the whole of it.
  package var pointer: String {
    switch self {
    case .tooLarge: ""
    case .keywordUnsupported(_, let pointer), .invalid(let pointer, _): pointer
    }
  }

  package var description: String {
    switch self {
    case .tooLarge(let limit): "the schema is longer than \(limit) bytes"
    case .keywordUnsupported(let keyword, _):
      "the keyword '\(keyword)' is not checked by this version; "
        + "known are \(JSONSchema.keywords.joined(separator: " "))"
    case .invalid(_, let reason): reason
    }
  }

  /// The problem of a request whose member at `base` holds the schema.
  package func problem(under base: String) -> Problem {
    let code: ErrorCode =
      if case .keywordUnsupported = self { .schemaKeywordUnsupported } else { .schemaInvalid }
    return Problem(code, description, pointer: base + pointer)
  }
}

/// One way in which a value does not fit a schema.
package struct SchemaViolation: Sendable, Hashable, CustomStringConvertible {
  /// RFC 6901, into the value.
  package var pointer: String
  /// What is wrong and what is expected; quotes the schema, never the value.
  package var message: String

  package var description: String { pointer.isEmpty ? message : "\(pointer): \(message)" }
}

/// A compiled JSON Schema (2020-12), restricted to the keywords of SURFACE: what a model's answer
/// and a tool's arguments are checked against. Everything else is refused by name, so that no
/// schema is ever checked in part.
package struct JSONSchema: Sendable {
  /// Bytes of compact JSON text; above it a schema costs more than the answer it describes.
  package static let bytesMax = 64 << 10
  /// Subschemas that one place of a value may pass through by `$ref` and `anyOf`; with JSON's own
  /// depth limit it bounds the stack.
  package static let chainMax = 32
  /// What one check may cost, in comparisons: tens of milliseconds at worst, on a loop that has
  /// others to serve. An answer of 100 KiB needs a tenth. `anyOf` can ask for exponential work.
  package static let stepsMax = 100_000

  /// The keywords that are checked or are annotations without effect.
  package static let keywords = [
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
    "$ref", "$defs", "title", "description", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "pattern", "format",
  ]

  /// Subschemas by index; 0 is the root.
  let nodes: [Node]

  package init(_ schema: JSON) throws(SchemaFailure) {
    guard schema.encoded.count <= Self.bytesMax else {
      throw .tooLarge(limit: Self.bytesMax)
    }
    var compiler = SchemaCompiler()
    nodes = try compiler.compile(schema)
  }

  /// Where `value` does not fit, in document order, at most `limit` places; empty when it fits.
  package func violations(of value: JSON, limit: Int = 16) -> [SchemaViolation] {
    var checker = SchemaChecker(schema: self, limit: max(1, limit))
    checker.check(value, against: 0)
    guard checker.hasGivenUp else { return checker.violations }
    return checker.violations + [
      SchemaViolation(
        pointer: "", message: "the check was given up after \(Self.stepsMax) comparisons")
    ]
  }

  /// One compiled subschema.
  struct Node: Sendable {
    /// Of the boolean schema `false`.
    var refusesAll = false
    var types: TypeSet?
    var properties: [String: Int] = [:]
    var required: [String] = []
    var additionalProperties: Int?
    var items: Int?
    var choices: [JSON]?
    var constant: JSON?
    var alternatives: [Int] = []
    var reference: Int?
    var minimum: JSON?
    var maximum: JSON?
    /// Unicode scalars of a string.
    var lengthMin: Int?
    var lengthMax: Int?
    /// Items of an array.
    var countMin: Int?
    var countMax: Int?
    var pattern: SchemaPattern?
    var format: SchemaFormat?
  }

  struct TypeSet: OptionSet, Sendable {
    let rawValue: UInt8

    static let null = TypeSet(rawValue: 1)
    static let boolean = TypeSet(rawValue: 2)
    static let integer = TypeSet(rawValue: 4)
    static let number = TypeSet(rawValue: 8)
    static let string = TypeSet(rawValue: 16)
    static let array = TypeSet(rawValue: 32)
    static let object = TypeSet(rawValue: 64)

    static let byName: KeyValuePairs<String, TypeSet> = [
      "null": .null, "boolean": .boolean, "integer": .integer, "number": .number,
      "string": .string, "array": .array, "object": .object,
    ]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    init?(name: String) {
      guard let type = Self.byName.first(where: { $0.key == name })?.value else { return nil }
      self = type
    }

    /// The types `value` has: an integer, also one written as `1.0`, is a number too.
    init(of value: JSON) {
      switch value {
      case .null: self = .null
      case .bool: self = .boolean
      case .int: self = [.integer, .number]
      case .double(let number):
        self = number == number.rounded() ? [.integer, .number] : .number
      case .string: self = .string
      case .array: self = .array
      case .object: self = .object
      }
    }

    var names: [String] { Self.byName.filter { contains($0.value) }.map(\.key) }
  }
}

extension JSON {
  /// Equality of JSON Schema: numbers by their value, so that 1 equals 1.0.
  func equalsByValue(_ other: JSON) -> Bool {
    switch (self, other) {
    case (.array(let left), .array(let right)):
      return left.count == right.count && zip(left, right).allSatisfy { $0.equalsByValue($1) }
    case (.object(let left), .object(let right)):
      return left.members.count == right.members.count
        && left.members.allSatisfy { member in
          right[member.name].map { member.value.equalsByValue($0) } ?? false
        }
    case (.int, .double), (.double, .int): return precedes(other) == false && !other.precedes(self)
    default: return self == other
    }
  }

  /// Whether this number is below `other`, exactly; false when either is no number.
  func precedes(_ other: JSON) -> Bool {
    switch (self, other) {
    case (.int(let left), .int(let right)): left < right
    case (.double(let left), .double(let right)): left < right
    case (.int(let left), .double(let right)): compare(left, right) < 0
    case (.double(let left), .int(let right)): compare(right, left) > 0
    default: false
    }
  }

  /// How many values this one holds, itself included: what a comparison with it costs at most.
  var valueCount: Int {
    switch self {
    case .array(let items): items.reduce(1) { $0 + $1.valueCount }
    case .object(let object): object.members.reduce(1) { $0 + $1.value.valueCount }
    default: 1
    }
  }
}

/// The order of a 64-bit integer and a double without rounding either: -1, 0 or 1.
private func compare(_ left: Int64, _ right: Double) -> Int {
  if right >= 0x1p63 { return -1 }
  if right < -0x1p63 { return 1 }
  let floor = right.rounded(.down)
  let whole = Int64(floor)
  if left != whole { return left < whole ? -1 : 1 }
  return right > floor ? -1 : 0
}
