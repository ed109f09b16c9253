import Base
import Events

/// Turns a parsed manifest into a `PackManifest`, by the keys of docs/surface.md; collects every
/// issue instead of stopping at the first.
struct ManifestValidator {
  /// Tools of a pack; models choose badly among more.
  static let toolsMax = 64

  private let file: String
  /// The pack's folder: where the paths in the manifest must lead to.
  private let folder: PackFolder
  private(set) var issues: [PackIssue] = []
  private(set) var manifest = PackManifest()

  init(file: String, folder: PackFolder) {
    self.file = file
    self.folder = folder
  }

  mutating func validate(_ root: YAMLNode) {
    let known = [
      "name", "version", "description", "planner", "system_prompt", "llm", "tools", "knowledge",
      "memory",
    ]
    guard let keys = mapping(root, "", known: known) else { return }
    validateIdentity(keys, root)
    if let node = keys["planner"] { validatePlanner(node) }
    validateSystemPrompt(keys["system_prompt"], root)
    if let node = keys["llm"] { validateLanguageModel(node) }
    if let node = keys["tools"] { validateTools(node) }
    if let node = keys["knowledge"] { validateKnowledge(node) }
    if let node = keys["memory"], let memory = mapping(node, "memory", known: ["history_tokens"]) {
      manifest.historyTokens = memory["history_tokens"].flatMap {
        integer($0, "memory.history_tokens", 0...1_000_000)
      }
    }
    if !manifest.tools.isEmpty, manifest.planner != .react, let node = keys["tools"] {
      report(node.line, "tools", "only the planner react calls tools; expected planner: react")
    }
  }

  // MARK: Sections

  private mutating func validateIdentity(_ keys: [String: YAMLNode], _ root: YAMLNode) {
    if let name = requiredText(keys["name"], "name", root) {
      let line = keys["name"]?.line ?? root.line
      if !PackManifest.isName(name) {
        report(
          line, "name",
          "found \(quoted(name)); expected a-z, 0-9 and '-', beginning with a letter, at most 64")
      } else if name != folder.name {
        report(
          line, "name",
          "found \(quoted(name)) in the folder \(quoted(folder.name)); expected the same name")
      }
      manifest.name = name
    }
    if let version = requiredText(keys["version"], "version", root) {
      if version.utf8.count > 64 || version.contains(where: \.isWhitespace) {
        report(
          keys["version"]?.line ?? root.line, "version",
          "expected at most 64 characters without spaces, like 1.0.0")
      }
      manifest.version = version
    }
    if let node = keys["description"], let text = text(node, "description") {
      if text.utf8.count > 1_000 {
        report(node.line, "description", "expected at most 1000 bytes")
      }
      manifest.description = text
    }
  }

  private mutating func validatePlanner(_ node: YAMLNode) {
    guard let name = text(node, "planner") else { return }
    if let planner = Personality.Planner(rawValue: name) {
      manifest.planner = planner
    } else if ["plan", "workflow"].contains(name) {
      report(node.line, "planner", "\(name) is not in this version; expected direct or react")
    } else {
      report(node.line, "planner", "found \(quoted(name)); expected direct or react")
    }
  }

  private mutating func validateSystemPrompt(_ node: YAMLNode?, _ root: YAMLNode) {
    guard let path = requiredText(node, "system_prompt", root) else { return }
    manifest.systemPrompt = path
    if let reason = folder.reasonNotAFile(path) {
      report(
        node?.line ?? root.line, "system_prompt",
        "\(quoted(path)) \(reason); expected a file inside the pack")
    }
  }

  private mutating func validateLanguageModel(_ node: YAMLNode) {
    let known = ["route", "temperature", "max_output_tokens"]
    guard let keys = mapping(node, "llm", known: known) else { return }
    if let node = keys["route"], let route = text(node, "llm.route") {
      manifest.languageModel.route = route
    }
    manifest.languageModel.temperature = keys["temperature"].flatMap {
      number($0, "llm.temperature", 0...2)
    }
    manifest.languageModel.maxOutputTokens = keys["max_output_tokens"].flatMap {
      integer($0, "llm.max_output_tokens", 1...1_000_000)
    }
  }

  private mutating func validateKnowledge(_ node: YAMLNode) {
    let known = ["include", "top_k", "min_score", "chunk_tokens"]
    var settings = Personality.KnowledgeSettings()
    guard let keys = mapping(node, "knowledge", known: known) else { return }
    if let node = keys["include"] { validateInclude(node) }
    if let node = keys["top_k"], let value = integer(node, "knowledge.top_k", 1...50) {
      settings.topK = value
    }
    if let node = keys["min_score"], let value = number(node, "knowledge.min_score", -1...1) {
      settings.minScore = value
    }
    if let node = keys["chunk_tokens"],
      let value = integer(node, "knowledge.chunk_tokens", 16...2_000)
    {
      settings.chunkTokens = value
    }
    manifest.knowledge = settings
  }

  private mutating func validateInclude(_ node: YAMLNode) {
    guard let items = strings(node, "knowledge.include") else { return }
    if items.isEmpty {
      report(node.line, "knowledge.include", "empty; expected patterns like \"**/*.md\"")
    }
    for (text, line) in items where PathPattern(text) == nil {
      report(
        line, "knowledge.include",
        "\(quoted(text)) is no pattern; expected one like \"**/*.md\", seen from knowledge/")
    }
    manifest.include = items.map(\.text)
  }

  // MARK: Tools

  private mutating func validateTools(_ node: YAMLNode) {
    guard case .sequence(let items) = node.value else {
      report(node.line, "tools", "found \(node.kindName); expected a sequence")
      return
    }
    if items.count > Self.toolsMax {
      report(node.line, "tools", "\(items.count) tools; expected at most \(Self.toolsMax)")
    }
    var names: Set<String> = []
    for (index, item) in items.prefix(Self.toolsMax).enumerated() {
      guard let tool = tool(item, "tools[\(index)]") else { continue }
      if !names.insert(tool.name).inserted {
        report(item.line, "tools[\(index)].name", "a second \(quoted(tool.name)); expected one")
      }
      manifest.tools.append(tool)
    }
  }

  private mutating func tool(_ node: YAMLNode, _ key: String) -> ToolDefinition? {
    let known = ["name", "kind", "description", "command", "input_schema", "effect", "timeout"]
    guard let keys = mapping(node, key, known: known) else { return nil }
    let name = toolName(keys["name"], key, node)
    validateToolKind(keys["kind"], key, node)
    let description = requiredText(keys["description"], "\(key).description", node)
    let command = toolCommand(keys["command"], key, node)
    let schema = keys["input_schema"].map { inputSchema($0, "\(key).input_schema") }
    var effect = ToolDefinition.Effect.effectful
    if let node = keys["effect"], let text = text(node, "\(key).effect") {
      if let known = ToolDefinition.Effect(rawValue: text) {
        effect = known
      } else {
        report(
          node.line, "\(key).effect",
          "found \(quoted(text)); expected read, idempotent or effectful")
      }
    }
    let timeout = keys["timeout"].flatMap { duration($0, "\(key).timeout") }
    guard let name, let description, let command else { return nil }
    return ToolDefinition(
      name: name, description: description, command: command,
      inputSchema: schema ?? ["type": "object", "properties": [:], "additionalProperties": false],
      effect: effect, timeout: timeout)
  }

  /// Vendors agree on these characters and this length for a function's name.
  private mutating func toolName(_ node: YAMLNode?, _ key: String, _ tool: YAMLNode) -> String? {
    guard let name = requiredText(node, "\(key).name", tool) else { return nil }
    let isGood =
      (1...64).contains(name.utf8.count)
      && name.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
          || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
      }
    guard isGood else {
      report(
        node?.line ?? tool.line, "\(key).name",
        "found \(quoted(name)); expected letters, digits, '_' and '-', at most 64")
      return nil
    }
    return name
  }

  private mutating func validateToolKind(_ node: YAMLNode?, _ key: String, _ tool: YAMLNode) {
    guard let kind = requiredText(node, "\(key).kind", tool), kind != "process" else { return }
    let line = node?.line ?? tool.line
    if ["wasm", "http", "mcp", "builtin"].contains(kind) {
      report(line, "\(key).kind", "\(kind) is not in this version; expected process")
    } else {
      report(line, "\(key).kind", "found \(quoted(kind)); expected process")
    }
  }

  /// A program with a slash in its name, and a file of the pack without one, are the pack's own and
  /// must be there; any other name is looked for inside the jail.
  private mutating func toolCommand(
    _ node: YAMLNode?, _ key: String, _ tool: YAMLNode
  ) -> [String]? {
    let key = "\(key).command"
    guard let node else {
      report(tool.line, key, "missing; expected [PROGRAM, ARGUMENT…]")
      return nil
    }
    guard let items = strings(node, key) else { return nil }
    guard let program = items.first?.text, !program.isEmpty else {
      report(node.line, key, "empty; expected [PROGRAM, ARGUMENT…]")
      return nil
    }
    var command = items.map(\.text)
    if program.hasPrefix("/") { return command }
    let isOwn = program.contains("/") || folder.reasonNotAFile(program) == nil
    guard isOwn else { return command }
    let path = program.hasPrefix("./") ? String(program.dropFirst(2)) : program
    if let reason = folder.reasonNotAFile(path) ?? folder.reasonNotExecutable(path) {
      report(
        items[0].line, key, "\(quoted(program)) \(reason); expected an executable file of the pack")
      return nil
    }
    command[0] = "./" + path
    return command
  }

  private mutating func inputSchema(_ node: YAMLNode, _ key: String) -> JSON {
    let schema = node.json
    do throws(SchemaFailure) {
      _ = try JSONSchema(schema)
      if schema["type"] != "object" {
        report(node.line, key, "arguments are one JSON object; expected type: object")
      }
    } catch {
      let place = error.pointer.split(separator: "/").joined(separator: ".")
      report(
        node.line(at: error.pointer), place.isEmpty ? key : "\(key).\(place)", error.description)
    }
    return schema
  }

  // MARK: Values

  /// The members by name; unknown ones are reported. Nil when the value is no mapping.
  private mutating func mapping(
    _ node: YAMLNode, _ key: String, known: [String]
  ) -> [String: YAMLNode]? {
    guard case .mapping(let members) = node.value else {
      report(node.line, key, "found \(node.kindName); expected a mapping")
      return nil
    }
    var out: [String: YAMLNode] = [:]
    for member in members {
      guard known.contains(member.name) else {
        report(
          member.line, key.isEmpty ? member.name : "\(key).\(member.name)",
          "unknown key; expected one of \(known.joined(separator: ", "))")
        continue
      }
      // A key's line is more use than that of a value that begins further down.
      var value = member.node
      value.line = member.line
      out[member.name] = value
    }
    return out
  }

  private mutating func requiredText(_ node: YAMLNode?, _ key: String, _ parent: YAMLNode)
    -> String?
  {
    guard let node else {
      report(parent.line, key, "missing; expected a string")
      return nil
    }
    return text(node, key)
  }

  private mutating func text(_ node: YAMLNode, _ key: String) -> String? {
    guard let text = node.text, !text.isEmpty else {
      report(
        node.line, key, "found \(node.text == nil ? node.kindName : "\"\""); expected a string")
      return nil
    }
    return text
  }

  private mutating func strings(_ node: YAMLNode, _ key: String) -> [(text: String, line: Int)]? {
    guard case .sequence(let items) = node.value else {
      report(node.line, key, "found \(node.kindName); expected a sequence of strings")
      return nil
    }
    var out: [(text: String, line: Int)] = []
    for item in items {
      guard case .scalar(let text, _) = item.value else {
        report(item.line, key, "found \(item.kindName); expected a sequence of strings")
        return nil
      }
      guard !text.utf8.contains(0) else {
        report(item.line, key, "a string with a NUL character; expected none")
        return nil
      }
      out.append((text, item.line))
    }
    return out
  }

  private mutating func integer(
    _ node: YAMLNode, _ key: String, _ range: ClosedRange<Int>
  ) -> Int? {
    guard case .int(let value) = node.json, range.contains(Int(value)) else {
      report(
        node.line, key,
        "found \(shown(node)); expected an integer from \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return Int(value)
  }

  private mutating func number(
    _ node: YAMLNode, _ key: String, _ range: ClosedRange<Double>
  ) -> Double? {
    guard let value = node.json.number, range.contains(value) else {
      report(
        node.line, key,
        "found \(shown(node)); expected a number from \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return value
  }

  /// Of a tool: above an hour a turn would have no use for it.
  private mutating func duration(_ node: YAMLNode, _ key: String) -> Nanoseconds? {
    guard let text = node.text, let value = Nanoseconds(duration: text), value > .zero,
      value <= .seconds(3_600)
    else {
      report(
        node.line, key,
        "found \(shown(node)); expected a duration like 500ms or 10s, at most 1h")
      return nil
    }
    return value
  }

  private func shown(_ node: YAMLNode) -> String { node.text.map(quoted) ?? node.kindName }

  private func quoted(_ text: String) -> String {
    JSON.string(text.count <= 80 ? text : text.prefix(80) + "…").text
  }

  private mutating func report(_ line: Int, _ key: String, _ text: String) {
    issues.append(PackIssue(file: file, line: line, key: key, text: text))
  }
}
