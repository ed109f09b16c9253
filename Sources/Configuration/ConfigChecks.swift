import Base

/// Rules between keys.
struct ConfigChecks {
  let resolved: [String: ResolvedKey]
  let items: [String: [Int]]
  let filePath: String?
  private(set) var issues: [ConfigIssue] = []

  init(_ resolver: ConfigResolver, filePath: String?) {
    resolved = resolver.resolved
    items = resolver.items
    self.filePath = filePath
  }

  mutating func run() {
    checkListen()
    checkProviders()
    checkRoutes()
  }

  private func string(_ path: String) -> String? {
    if case .string(let text)? = resolved[path]?.value { text } else { nil }
  }

  private func strings(_ path: String) -> [String]? {
    if case .strings(let items)? = resolved[path]?.value { items } else { nil }
  }

  private mutating func report(_ path: String, _ text: String, line: Int = 0) {
    let source = resolved[path]?.source ?? .file(filePath ?? "", line: line)
    issues.append(ConfigIssue(source: source, key: path, text: text))
  }

  private mutating func checkListen() {
    guard let text = string("http.listen"), let address = ListenAddress(text) else { return }
    guard !address.isLoopback else { return }
    report(
      "http.listen",
      "\(address.host) is open to other machines, which needs TLS and auth.mode keys or jwt, "
        + "and these are not in this version; expected a loopback address like 127.0.0.1:8080")
  }

  private mutating func checkProviders() {
    var seen: [String: Int] = [:]
    for (index, line) in (items["providers"] ?? []).enumerated() {
      let place = "providers[\(index)]"
      if let name = string("\(place).name") {
        if let first = seen[name] {
          report(
            "\(place).name", "\"\(name)\" is the name of providers[\(first)]; expected another one")
        }
        seen[name] = seen[name] ?? index
      }
      guard let kind = string("\(place).kind") else { continue }
      checkKeys(of: place, kind: kind)
      let models = strings("\(place).models") ?? []
      if kind == "openai", models.isEmpty {
        report("\(place).models", "no model; expected at least one name, [\"…\"]", line: line)
      }
      if case .prices(let prices)? = resolved["\(place).prices"]?.value {
        for model in prices.keys.sorted() where !models.contains(model) {
          report("\(place).prices", "\"\(model)\" is none of its models; expected one of them")
        }
      }
    }
  }

  /// A key that the provider's kind does not read would be ignored in silence.
  private mutating func checkKeys(of place: String, kind: String) {
    for key in ConfigKeys.providers {
      let path = place + key.path.dropFirst("providers[]".count)
      guard let kinds = key.providerKinds, !kinds.contains(kind), let found = resolved[path],
        found.source != .initial
      else { continue }
      let readers = kinds.filter { $0 != "anthropic" }
      report(
        path,
        "not used by the kind \"\(kind)\"; expected only with \(ConfigKey.list(readers, "or"))")
    }
  }

  private mutating func checkRoutes() {
    var models: Set<String> = []
    var names: Set<String> = []
    for index in (items["providers"] ?? []).indices {
      guard let name = string("providers[\(index)].name") else { continue }
      names.insert(name)
      for model in strings("providers[\(index)].models") ?? [] { models.insert("\(name)/\(model)") }
    }
    var seen: Set<String> = []
    for index in (items["routes"] ?? []).indices {
      let place = "routes[\(index)]"
      if let name = string("\(place).name"), !seen.insert(name).inserted {
        report("\(place).name", "a second route \"\(name)\"; expected each name once")
      }
      guard let uses = strings("\(place).use") else { continue }
      if uses.isEmpty {
        report("\(place).use", "no model; expected at least one \"provider/model\"")
      }
      for use in uses where !models.contains(use) {
        let provider = String(use.prefix { $0 != "/" })
        let what =
          !use.contains("/")
          ? "is not of the form provider/model"
          : names.contains(provider)
            ? "is none of the models of the provider \"\(provider)\"" : "names no provider"
        report(
          "\(place).use",
          "\"\(use)\" \(what); expected \"provider/model\" of one of [[providers]]")
      }
    }
  }
}
