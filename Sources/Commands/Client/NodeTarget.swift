import Configuration
import LogBroker

/// Where the node is that a command talks to: `KFM_URL` with `KFM_TOKEN`, else the socket in the
/// configured data directory.
package enum NodeTarget: Equatable {
  /// Without a slash at its end.
  case url(String, token: String?)
  case socket(path: String)

  static let socketName = "kfm.sock"

  package static func find(
    in context: CommandContext, config: String?
  ) throws(CommandFailure) -> NodeTarget {
    guard var url = context.variable("KFM_URL") else {
      return .socket(path: Path.join(try dataDirectory(context, config), socketName))
    }
    guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
      throw CommandFailure(
        .usage, "KFM_URL: '\(url)' is no address; expected http://HOST:PORT or https://…")
    }
    while url.last == "/" { url.removeLast() }
    return .url(url, token: context.variable("KFM_TOKEN"))
  }

  /// `KFM_DATA_DIR` is stronger than the file, which then need not be read: the secrets it asks for
  /// may be the node's alone.
  static func dataDirectory(
    _ context: CommandContext, _ config: String?
  ) throws(CommandFailure) -> String {
    let inputs = ConfigInputs(context: context, config: config)
    if let directory = context.variable("KFM_DATA_DIR") {
      return Path.absolute(directory, in: ConfigLoader(inputs).directory)
    }
    return try LoadedConfiguration.load(inputs).node.node.dataDirectory
  }

  /// What the log is encrypted with: the environment's override of `bus.encryption_key`, or, where
  /// the data directory is the configured one, the configured key.
  static func logKey(
    _ context: CommandContext, _ config: String?, isConfigured: Bool
  ) throws(CommandFailure) -> LogKey? {
    var text = context.variable("KFM_CFG__bus__encryption_key")
    if text == nil, isConfigured, context.variable("KFM_DATA_DIR") == nil {
      let inputs = ConfigInputs(context: context, config: config)
      text = try LoadedConfiguration.load(inputs).node.bus.encryptionKey?.reveal()
    }
    guard let text else { return nil }
    if let key = LogKey(text) { return key }
    throw CommandFailure(
      .usage,
      "bus.encryption_key is no key; expected \(LogKey.length * 2) hexadecimal digits")
  }

  /// For messages; never with the token.
  var description: String {
    switch self {
    case .url(let url, _): url
    case .socket(let path): path
    }
  }

  /// Whether starting a node on this machine is what is missing.
  var isLocal: Bool {
    switch self {
    case .socket: true
    case .url(let url, _):
      ["//127.", "//localhost", "//[::1]"].contains { url.contains($0) }
    }
  }
}
