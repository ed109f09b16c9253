/// What a reload would change: the keys that take effect at once, and those that need a restart.
package struct ConfigChange: Sendable, Hashable {
  /// Concrete paths, sorted; values are not shown.
  package var reloaded: [String] = []
  package var needingRestart: [String] = []

  package var isEmpty: Bool { reloaded.isEmpty && needingRestart.isEmpty }

  package init(from old: LoadedConfiguration, to new: LoadedConfiguration) {
    let paths = Set(old.values.keys).union(new.values.keys)
    for path in paths.sorted() where old.values[path] != new.values[path] {
      if Self.isReloadable(path) { reloaded.append(path) } else { needingRestart.append(path) }
    }
  }

  private static func isReloadable(_ path: String) -> Bool {
    var template = ""
    var isInIndex = false
    for character in path {
      if character == "]" { isInIndex = false }
      if !isInIndex { template.append(character) }
      if character == "[" { isInIndex = true }
    }
    guard let key = ConfigKeys.byPath[template] else {
      preconditionFailure("\(path) was resolved without being a key")
    }
    return key.isReloadable
  }
}
