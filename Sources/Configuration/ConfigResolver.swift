import Base

/// One key with its value and where that came from.
struct ResolvedKey {
  var key: ConfigKey
  var value: ConfigValue
  var source: ConfigSource
  /// It is a secret, or was made of one.
  var isSecret: Bool
}

/// Lays the file, the environment and the flags over the defaults, key by key, and collects
/// everything that is wrong on the way.
struct ConfigResolver {
  /// What one layer says about a key.
  private enum Candidate {
    case node(TomlNode, ConfigSource)
    case text(String, ConfigSource)

    var source: ConfigSource {
      switch self {
      case .node(_, let source), .text(_, let source): source
      }
    }
  }

  private let filePath: String?
  private let references: SecretReferences
  private(set) var issues: [ConfigIssue] = []
  /// Keys with a value, by their concrete path: `providers[0].name`.
  private(set) var resolved: [String: ResolvedKey] = [:]
  /// Places of the items of arrays of tables: `providers` has a line for each.
  private(set) var items: [String: [Int]] = [:]
  /// By concrete path; a later layer replaces an earlier one.
  private var candidates: [String: Candidate] = [:]
  private var surroundings: ConfigSurroundings

  /// `directory` is where relative paths start.
  init(filePath: String?, directory: String, surroundings: ConfigSurroundings) {
    self.filePath = filePath
    self.surroundings = surroundings
    references = SecretReferences(environment: surroundings.environment, directory: directory)
  }

  mutating func addIssue(_ source: ConfigSource, _ key: String, _ text: String) {
    issues.append(ConfigIssue(source: source, key: key, text: text))
  }

  // MARK: Layers

  mutating func addFile(_ root: TomlNode) {
    guard case .table(let members) = root.value else { return }
    addTable(members, template: "", path: "")
  }

  /// `template` has `[]` where `path` has an index.
  private mutating func addTable(_ members: [TomlNode.Member], template: String, path: String) {
    for member in members {
      let key = template.isEmpty ? member.name : "\(template).\(member.name)"
      let place = path.isEmpty ? member.name : "\(path).\(member.name)"
      let source = ConfigSource.file(filePath ?? "", line: member.line)
      if ConfigKeys.byPath[key] != nil {
        candidates[place] = .node(member.node, source)
      } else if ConfigKeys.tables.contains(key + "[]") {
        addItems(member, template: key, path: place)
      } else if ConfigKeys.tables.contains(key) {
        guard case .table(let inner) = member.node.value else {
          addIssue(source, place, "found \(member.node.kindName); expected a table [\(place)]")
          continue
        }
        addTable(inner, template: key, path: place)
      } else {
        addIssue(source, place, unknown(member.name, in: template))
      }
    }
  }

  private mutating func addItems(_ member: TomlNode.Member, template: String, path: String) {
    guard case .array(let nodes) = member.node.value else {
      addIssue(
        .file(filePath ?? "", line: member.line), path,
        "found \(member.node.kindName); expected tables headed [[\(path)]]")
      return
    }
    for (index, node) in nodes.enumerated() {
      let place = "\(path)[\(index)]"
      items[path, default: []].append(node.line)
      guard case .table(let inner) = node.value else {
        addIssue(
          .file(filePath ?? "", line: node.line), place,
          "found \(node.kindName); expected a table headed [[\(path)]]")
        continue
      }
      addTable(inner, template: template + "[]", path: place)
    }
  }

  /// `KFM_CFG__section__key`, and `KFM_CFG__providers__0__name` for items the file has. The short
  /// variables come first, so that the exact ones win.
  mutating func addEnvironment() {
    let short = [("KFM_DATA_DIR", "node.data_dir"), ("KFM_LOG", "log.level")]
    for (variable, key) in short {
      if let text = surroundings.environment[variable], !text.isEmpty {
        candidates[key] = .text(text, .environment(variable))
      }
    }
    let prefix = "KFM_CFG__"
    let variables = surroundings.environment.filter { $0.key.hasPrefix(prefix) }
    for (variable, text) in variables.sorted(by: { $0.key < $1.key }) where !text.isEmpty {
      addOverride(String(variable.dropFirst(prefix.count)), text, .environment(variable))
    }
  }

  private mutating func addOverride(_ name: String, _ text: String, _ source: ConfigSource) {
    var template = ""
    var path = ""
    for part in name.split(separator: "__", omittingEmptySubsequences: false) {
      if !path.isEmpty, let index = Int(part), ConfigKeys.tables.contains(template + "[]") {
        let count = items[path]?.count ?? 0
        guard index >= 0, index < count else {
          addIssue(
            source, path, "no item \(part); expected the index of one of the file's \(count)")
          return
        }
        template += "[]"
        path += "[\(index)]"
      } else {
        template += template.isEmpty ? String(part) : ".\(part)"
        path += path.isEmpty ? String(part) : ".\(part)"
      }
    }
    guard ConfigKeys.byPath[template] != nil else {
      let parent = template.lastIndex(of: ".").map { String(template[..<$0]) } ?? ""
      let last = template.split(separator: ".").last.map(String.init) ?? ""
      addIssue(source, path, unknown(last, in: parent))
      return
    }
    candidates[path] = .text(text, source)
  }

  mutating func addFlag(_ flag: ConfigFlag) {
    precondition(ConfigKeys.byPath[flag.key] != nil, "the flag \(flag.name) sets no known key")
    candidates[flag.key] = .text(flag.value, .flag(flag.name))
  }

  // MARK: Values

  mutating func resolve() {
    for key in ConfigKeys.all {
      guard let bracket = key.path.firstRange(of: "[]") else {
        resolve(key, at: key.path, itemLine: nil)
        continue
      }
      let table = String(key.path[..<bracket.lowerBound])
      for (index, line) in (items[table] ?? []).enumerated() {
        resolve(key, at: "\(table)[\(index)]\(key.path[bracket.upperBound...])", itemLine: line)
      }
    }
  }

  private mutating func resolve(_ key: ConfigKey, at path: String, itemLine: Int?) {
    guard let candidate = candidates[path] else {
      resolveInitial(key, at: path, itemLine: itemLine)
      return
    }
    var reading = ConfigReading(
      key: key, references: references, directory: references.directory)
    do {
      let result =
        switch candidate {
        case .node(let node, _): try reading.read(node)
        case .text(let text, _): try reading.read(text: text)
        }
      set(key, path, result.value, candidate.source, isSecret: key.isSecret || result.isExpanded)
    } catch {
      var source = candidate.source
      if case .file(let file, _) = source, let line = error.line {
        source = .file(file, line: line)
      }
      addIssue(source, path, error.reason)
      // The default stands in, so that keys computed from this one can be checked too.
      if case .required = key.initial { return }
      resolveInitial(key, at: path, itemLine: itemLine)
    }
  }

  private mutating func resolveInitial(_ key: ConfigKey, at path: String, itemLine: Int?) {
    switch key.initial {
    case .none: return
    case .required:
      addIssue(
        .file(filePath ?? "", line: itemLine ?? 0), path, "missing; expected \(key.expectation)")
    case .value(let value): set(key, path, value, .initial, isSecret: false)
    case .computed(_, let find): set(key, path, find(surroundings), .initial, isSecret: false)
    }
  }

  private mutating func set(
    _ key: ConfigKey, _ path: String, _ value: ConfigValue, _ source: ConfigSource, isSecret: Bool
  ) {
    resolved[path] = ResolvedKey(key: key, value: value, source: source, isSecret: isSecret)
    surroundings.values[path] = value
  }

  // MARK: Unknown keys

  /// Issues after which a mistake is only named: looking for what was meant takes its time.
  private static let guessesMax = 100

  private func unknown(_ name: String, in template: String) -> String {
    let words = template.isEmpty ? "unknown key or table" : "unknown key"
    guard issues.count < Self.guessesMax else { return words + "; expected a known one" }
    let prefix = template.isEmpty ? "" : template + "."
    var known: [String] = []
    for key in ConfigKeys.all where key.path.hasPrefix(prefix) {
      let rest = key.path.dropFirst(prefix.count).prefix { $0 != "." }
      let name = String(rest.replacing("[]", with: ""))
      if !known.contains(name) { known.append(name) }
    }
    guard !known.isEmpty else { return words + "; expected a key of docs/surface.md" }
    let closest = known.min { Self.distance($0, name) < Self.distance($1, name) }!
    if Self.distance(closest, name) <= max(2, name.count / 3) {
      return "\(words); expected \"\(closest)\"?"
    }
    return "\(words); expected one of \(known.joined(separator: ", "))"
  }

  /// Levenshtein's, to guess what was meant.
  private static func distance(_ left: String, _ right: String) -> Int {
    let right = Array(right.unicodeScalars.prefix(64))
    var row = Array(0...right.count)
    for (index, scalar) in left.unicodeScalars.prefix(64).enumerated() {
      var diagonal = row[0]
      row[0] = index + 1
      for column in right.indices {
        let change = diagonal + (right[column] == scalar ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(change, row[column] + 1, row[column + 1] + 1)
      }
    }
    return row[right.count]
  }
}
