package import Base

/// What `kfm config show` says about one key.
package struct ConfigRow: Sendable, Hashable {
  /// Concrete: `providers[0].api_key`.
  package var key: String
  /// `***` for secrets; nil for a key that has no value and no default.
  package var value: JSON?
  package var source: ConfigSource
  package var isReloadable: Bool

  /// One line of `--json`.
  package var json: JSON {
    [
      "key": .string(key), "value": value ?? .null, "source": .string(source.description),
      "reloadable": .bool(isReloadable),
    ]
  }

  /// For people: `key = value`, in the form the file would have it.
  package var text: String { "\(key) = \(value?.text ?? "(none)")" }

  static func rows(of resolver: ConfigResolver) -> [ConfigRow] {
    ConfigKeys.all.flatMap { key -> [(Int, ConfigRow)] in
      guard let bracket = key.path.firstRange(of: "[]") else {
        return [(0, row(key, key.path, resolver))]
      }
      let table = String(key.path[..<bracket.lowerBound])
      return (resolver.items[table] ?? []).indices.map { index in
        let path = "\(table)[\(index)]\(key.path[bracket.upperBound...])"
        return (index, row(key, path, resolver))
      }
    }.map(\.1)
  }

  private static func row(_ key: ConfigKey, _ path: String, _ resolver: ConfigResolver)
    -> ConfigRow
  {
    guard let found = resolver.resolved[path] else {
      return ConfigRow(key: path, value: nil, source: .initial, isReloadable: key.isReloadable)
    }
    return ConfigRow(
      key: path, value: found.isSecret ? .string(Secret.mask) : found.value.json,
      source: found.source, isReloadable: key.isReloadable)
  }
}
