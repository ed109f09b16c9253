import Base

/// Turns what was written into a checked value of one key.
struct ConfigReading {
  /// What is wrong with a value.
  struct Failure: Error {
    var reason: String
    /// Of the item inside a longer value; nil for the value itself.
    var line: Int?
  }

  struct Result {
    var value: ConfigValue
    /// A `${…}` was replaced in it: it is shown nowhere.
    var isExpanded: Bool
  }

  let key: ConfigKey
  let references: SecretReferences
  /// Relative paths start here.
  let directory: String
  private var isExpanded = false

  init(key: ConfigKey, references: SecretReferences, directory: String) {
    self.key = key
    self.references = references
    self.directory = directory
  }

  mutating func read(_ node: TomlNode) throws(Failure) -> Result {
    let value = try convert(node)
    try checkSupport(value)
    return Result(value: value, isExpanded: isExpanded)
  }

  /// From a variable or flag, where everything is text.
  mutating func read(text: String) throws(Failure) -> Result {
    try read(node(for: text))
  }

  private mutating func convert(_ node: TomlNode) throws(Failure) -> ConfigValue {
    switch key.kind {
    case .string, .name, .path, .url, .address, .duration, .size, .choice, .embedder:
      guard case .string(let text) = node.value else { throw wrongType(node) }
      let resolved = try resolve(text, line: node.line)
      return try convert(text: resolved)
    case .integer(let range):
      return .integer(try integer(node) { range.contains($0) })
    case .powerOfTwo(let maximum):
      return .integer(try integer(node) { $0 > 0 && $0 <= maximum && $0 & ($0 - 1) == 0 })
    case .number(let range):
      let number: Double
      switch node.value {
      case .number(let value): number = value
      case .integer(let value): number = Double(value)
      default: throw wrongType(node)
      }
      guard range.contains(number) else { throw wrong("\(number)") }
      return .number(number)
    case .boolean:
      guard case .boolean(let value) = node.value else { throw wrongType(node) }
      return .boolean(value)
    case .choices, .strings: return .strings(try strings(node))
    case .secretMap, .logLevels: return .map(try map(node))
    case .classes: throw unsupported
    case .prices: return .prices(try prices(node))
    }
  }

  private func convert(text: String) throws(Failure) -> ConfigValue {
    switch key.kind {
    case .name:
      guard !text.isEmpty, text.utf8.count <= ConfigKey.nameMax,
        text.unicodeScalars.allSatisfy(Self.isNameScalar)
      else { throw wrong(text) }
    case .path:
      guard !text.isEmpty, !text.utf8.contains(0) else { throw wrong(text) }
      return .string(FilePath.absolute(text, in: directory))
    case .url:
      guard !text.contains("@") else {
        throw Failure(reason: "found '@'; expected a URL without a user: keys go into api_key")
      }
      guard Self.isURL(text) else { throw wrong(text) }
    case .address: guard ListenAddress(text) != nil else { throw wrong(text) }
    case .choice(let names): guard names.contains(text) else { throw wrong(text) }
    case .embedder(let names):
      guard names.contains(text) else {
        throw text.contains("/") ? unsupported(text, expected: names) : wrong(text)
      }
    case .duration(let from, let to):
      guard let value = Nanoseconds(duration: text), value >= Nanoseconds(duration: from)!,
        value <= Nanoseconds(duration: to)!
      else { throw wrong(text) }
      return .duration(value)
    case .size(let from, let to):
      guard let value = ByteCount(size: text), value >= ByteCount(size: from)!,
        value <= ByteCount(size: to)!
      else { throw wrong(text) }
      return .size(value)
    default: break
    }
    return .string(text)
  }

  private func integer(_ node: TomlNode, _ fits: (Int) -> Bool) throws(Failure) -> Int {
    guard case .integer(let value) = node.value else { throw wrongType(node) }
    guard fits(Int(value)) else { throw wrong("\(value)") }
    return Int(value)
  }

  private mutating func strings(_ node: TomlNode) throws(Failure) -> [String] {
    guard case .array(let items) = node.value else { throw wrongType(node) }
    var out: [String] = []
    for item in items {
      guard case .string(let text) = item.value else {
        throw Failure(
          reason: "found \(item.kindName) in the array; expected \(key.expectation)",
          line: item.line)
      }
      let value = try resolve(text, line: item.line)
      if case .choices(let names) = key.kind, !names.contains(value) { throw wrong(value) }
      guard !value.isEmpty else {
        throw Failure(reason: "an empty string in the array; expected names", line: item.line)
      }
      guard !out.contains(value) else {
        throw Failure(reason: "\(shown(value)) is given twice; expected each once", line: item.line)
      }
      out.append(value)
    }
    return out
  }

  private mutating func map(_ node: TomlNode) throws(Failure) -> [String: String] {
    guard case .table(let members) = node.value else { throw wrongType(node) }
    var out: [String: String] = [:]
    for member in members {
      guard case .string(let text) = member.node.value else {
        throw Failure(
          reason: "\(member.name): found \(member.node.kindName); expected a string",
          line: member.line)
      }
      let value = try resolve(text, line: member.line)
      if case .logLevels = key.kind, LogLevel(name: value) == nil {
        let levels = ConfigKey.list(LogLevel.allCases.map { "\($0)" }, "or")
        throw Failure(
          reason: "\(member.name): found \(shown(value)); expected \(levels)", line: member.line)
      }
      if case .secretMap = key.kind, !Self.isHeader(name: member.name, value: value) {
        throw Failure(
          reason: "\(member.name): no header can be written so; expected an RFC 9110 name, "
            + "and a value of printable ASCII", line: member.line)
      }
      out[member.name] = value
    }
    return out
  }

  private func prices(_ node: TomlNode) throws(Failure) -> [String: ModelPrice] {
    guard case .table(let models) = node.value else { throw wrongType(node) }
    var out: [String: ModelPrice] = [:]
    for model in models {
      guard case .table(let members) = model.node.value else {
        throw Failure(
          reason: "\(model.name): found \(model.node.kindName); expected \(key.expectation)",
          line: model.line)
      }
      out[model.name] = try price(members, of: model)
    }
    return out
  }

  private func price(
    _ members: [TomlNode.Member], of model: TomlNode.Member
  ) throws(Failure) -> ModelPrice {
    var amounts: [String: Int] = [:]
    var currency = "USD"
    for member in members {
      switch (member.name, member.node.value) {
      case ("input", .integer(let value)) where value >= 0,
        ("output", .integer(let value)) where value >= 0,
        ("cached", .integer(let value)) where value >= 0:
        amounts[member.name] = Int(value)
      case ("currency", .string(let text))
      where text.utf8.count == 3 && text.utf8.allSatisfy { (65...90).contains($0) }:
        currency = text
      case ("input", _), ("output", _), ("cached", _):
        throw Failure(
          reason: "\(model.name).\(member.name): expected an integer of 0 or more",
          line: member.line)
      case ("currency", _):
        throw Failure(
          reason: "\(model.name).currency: expected three letters like \"USD\"", line: member.line)
      default:
        throw Failure(
          reason: "\(model.name).\(member.name): unknown key; expected input, output, cached "
            + "or currency", line: member.line)
      }
    }
    guard let input = amounts["input"], let output = amounts["output"] else {
      throw Failure(
        reason: "\(model.name): expected both input and output, micro-units a million tokens",
        line: model.line)
    }
    return ModelPrice(input: input, output: output, cached: amounts["cached"], currency: currency)
  }

  private mutating func resolve(_ text: String, line: Int) throws(Failure) -> String {
    do {
      let resolved = try references.resolve(text)
      if resolved.isReplaced { isExpanded = true }
      return resolved.text
    } catch {
      throw Failure(reason: error.reason, line: line)
    }
  }

  // MARK: Text from outside a file

  private func node(for text: String) throws(Failure) -> TomlNode {
    let value: TomlNode.Value
    switch key.kind {
    case .integer, .powerOfTwo:
      guard let number = Int64(text) else { throw wrong(text) }
      value = .integer(number)
    case .number:
      guard let number = Double(text), number.isFinite else { throw wrong(text) }
      value = .number(number)
    case .boolean:
      guard text == "true" || text == "false" else { throw wrong(text) }
      value = .boolean(text == "true")
    case .choices, .strings:
      guard text.first == "[" else {
        let items = text.split(separator: ",").map { item in
          TomlNode(value: .string(String(item.filter { $0 != " " })), line: 1)
        }
        return TomlNode(value: .array(items), line: 1)
      }
      return try inline(text)
    case .secretMap, .logLevels, .classes, .prices: return try inline(text)
    default: value = .string(text)
    }
    return TomlNode(value: value, line: 1)
  }

  private func inline(_ text: String) throws(Failure) -> TomlNode {
    guard !text.contains(where: \.isNewline),
      let root = try? TomlDocument.parse(Array("value = \(text)".utf8)),
      case .table(let members) = root.value, let first = members.first
    else { throw wrong(text) }
    return first.node
  }

  // MARK: Failures

  private func checkSupport(_ value: ConfigValue) throws(Failure) {
    switch key.support {
    case .whole: return
    case .only(let names):
      guard !names.contains(value.text) else { return }
      throw unsupported(value.text, expected: names)
    case .initialOnly:
      guard case .value(let initial) = key.initial else { throw unsupported }
      guard initial != value else { return }
      throw Failure(
        reason: "\(shown(value.text)) is not in this version; expected \(initial.json.text)")
    }
  }

  private func unsupported(_ text: String, expected names: [String]) -> Failure {
    Failure(
      reason: "\(shown(text)) is not in this version; expected \(ConfigKey.list(names, "or"))")
  }

  private var unsupported: Failure {
    Failure(reason: "not in this version; expected the key to be left out")
  }

  private func wrongType(_ node: TomlNode) -> Failure {
    Failure(reason: "found \(node.kindName); expected \(key.expectation)")
  }

  private func wrong(_ text: String) -> Failure {
    Failure(reason: "found \(shown(text)); expected \(key.expectation)")
  }

  private func shown(_ text: String) -> String {
    guard !isExpanded, !key.isSecret else { return Secret.mask }
    return JSON.string(text.count <= 80 ? text : text.prefix(80) + "…").text
  }

  // MARK: Grammar

  static func isNameScalar(_ scalar: UnicodeScalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-": true
    default: false
    }
  }

  /// A URL with a host and without credentials, query or fragment: paths are added to it.
  static func isURL(_ text: String) -> Bool {
    guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }) else {
      return false
    }
    let rest = text.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" }
    return !authority.isEmpty && authority.first != ":"
      && rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
      && !rest.contains { "@?#\"<>\\^`{|}".contains($0) }
  }

  static func isHeader(name: String, value: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
          || "!#$%&'*+-.^_`|~".utf8.contains(byte)
      } && value.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
  }
}
