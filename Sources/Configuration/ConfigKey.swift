import Base

/// All that is known about one key: the loader reads and checks by it, `kfm config show` and
/// `schema` print it, and environment overrides are found through it.
struct ConfigKey: Sendable {
  enum Kind: Sendable {
    case string
    /// Letters, digits and `._-`, so that it can stand in metrics and in `provider/model`.
    case name
    case path
    /// `http://` or `https://`.
    case url
    /// `host:port`.
    case address
    case integer(ClosedRange<Int>)
    /// Of 1 to the bound.
    case powerOfTwo(Int)
    case number(ClosedRange<Double>)
    case boolean
    /// Bounds as people write them.
    case duration(from: String, to: String)
    case size(from: String, to: String)
    case choice([String])
    /// A built-in embedder, or `provider/model`.
    case embedder([String])
    case choices([String])
    case strings
    case secretMap
    case logLevels
    case classes
    case prices
  }

  /// How much of what SURFACE promises this version does.
  enum Support: Sendable {
    case whole
    /// Only the default; without one the key must not be set.
    case initialOnly
    case only([String])
  }

  /// What holds when nothing is said.
  enum Initial: Sendable {
    case none
    case required
    case value(ConfigValue)
    /// `words` describe what `find` computes from the machine and the keys above this one.
    case computed(words: String, find: @Sendable (ConfigSurroundings) -> ConfigValue)
  }

  /// `engine.queue_max`; a key of each item of an array of tables is `providers[].name`.
  var path: String
  var kind: Kind
  var initial = Initial.none
  var isReloadable = false
  var isSecret = false
  var support = Support.whole
  /// For keys of providers: the kinds that read it; nil for all.
  var providerKinds: [String]?
  var summary: String

  /// `engine.queue_max` is `KFM_CFG__engine__queue_max`; `[]` stands for an index.
  var variable: String {
    "KFM_CFG__" + path.replacing("[]", with: "__N").replacing(".", with: "__")
  }

  /// What a value must be, in words.
  var expectation: String {
    switch kind {
    case .string: "a string"
    case .name: "a name of letters, digits and '._-', at most \(Self.nameMax) long"
    case .path: "a path"
    case .url: "an http:// or https:// URL"
    case .address: "an address like 127.0.0.1:8080"
    case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .powerOfTwo(let maximum): "an integer, a power of two from 1 to \(maximum)"
    case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
    case .boolean: "true or false"
    case .duration(let from, let to): "a duration like \"10s\" or \"250ms\", from \(from) to \(to)"
    case .size(let from, let to): "a size like \"4MiB\", from \(from) to \(to)"
    case .choice(let names), .embedder(let names): Self.list(names, "or")
    case .choices(let names): "an array of " + Self.list(names, "and")
    case .strings: "an array of strings"
    case .secretMap: "a table of strings"
    case .logLevels: "a table like { gateway = \"debug\" }"
    case .classes: "a table of arrays of strings"
    case .prices:
      "a table like { \"model\" = { input = 150000, output = 600000 } }, "
        + "micro-units a million tokens"
    }
  }

  /// Bytes of a name.
  static let nameMax = 64

  static func list(_ names: [String], _ word: String) -> String {
    let quoted = names.map { "\"\($0)\"" }
    guard quoted.count > 1, let last = quoted.last else { return quoted.joined() }
    return quoted.dropLast().joined(separator: ", ") + " \(word) \(last)"
  }
}

/// What defaults are computed from: the machine as handed in, and the keys that are resolved.
struct ConfigSurroundings {
  var environment: [String: String]
  var hostName: String
  var workingDirectory: String
  /// The folder above the `bin` that the program was started from.
  var installPrefix: String
  var values: [String: ConfigValue]

  func path(_ key: String) -> String {
    guard case .string(let path)? = values[key] else {
      preconditionFailure("\(key) is read before it is resolved")
    }
    return path
  }
}
