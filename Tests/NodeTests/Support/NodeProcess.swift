import Base
import Foundation

/// One `kfm serve` with a folder of its own.
final class NodeProcess {
  struct Settings {
    var listen = "127.0.0.1:0"
    /// Nil: `data` in the node's folder.
    var dataDirectory: String?
    /// Appended to the configuration.
    var more = ""
    /// Inside `[node]`.
    var node = ""
    /// Instead of the scripted provider.
    var provider: String?
  }

  let folder: TestFolder
  let provider: ScriptedProvider
  private let settings: Settings
  private var child: ChildProgram?
  private(set) var address = ""
  /// Kept over restarts.
  private var port: Int?

  var dataDirectory: String { settings.dataDirectory ?? "\(folder.path)/data" }

  init(
    _ provider: ScriptedProvider, _ settings: Settings = Settings(), folder: TestFolder? = nil
  ) throws {
    self.folder = try folder ?? TestFolder()
    self.provider = provider
    self.settings = settings
    try writeConfiguration()
  }

  private func writeConfiguration() throws {
    let listen = port.map { "127.0.0.1:\($0)" } ?? settings.listen
    let scripted = """
      [[providers]]
      name = "scripted"
      kind = "openai"
      base_url = "\(provider.url)"
      api_key = "none"
      models = ["scripted"]
      """
    try folder.write(
      "config.toml",
      """
      config_version = 1
      [node]
      data_dir = "\(dataDirectory)"
      \(settings.node)
      [http]
      listen = "\(listen)"
      [packs]
      dir = "\(TestPaths.root)/personalities"
      default = "minimal"
      \(settings.provider ?? scripted)
      \(settings.more)

      """)
  }

  /// Starts it and waits until it listens; a second start keeps the port.
  @discardableResult
  func start(wrapped: String? = nil) throws -> NodeProcess {
    if port != nil { try writeConfiguration() }
    let child = try spawn(wrapped: wrapped)
    self.child = child
    try Waiting.until("listening") {
      guard child.isRunning else {
        throw Waiting.TimedOut(description: "the node ended: \(child.errors)")
      }
      return listening(child) != nil
    }
    address = listening(child) ?? ""
    port = Int(address.split(separator: ":").last ?? "")
    return self
  }

  /// Starts `kfm serve` without waiting for anything; `wrapped` is a line for bash that runs the
  /// command it is given as `$0`.
  func spawn(wrapped: String? = nil) throws -> ChildProgram {
    if let wrapped {
      return try ChildProgram("/bin/bash", ["-c", wrapped, "serve"], in: folder, name: "serve")
    }
    return try ChildProgram(
      TestPaths.kfm, ["serve", "--config", "config.toml"], in: folder, name: "serve")
  }

  private func listening(_ child: ChildProgram) -> String? {
    for line in child.errors.split(separator: "\n") {
      guard let record = try? JSON(parsing: String(line)),
        record["message"]?.string == "listening"
      else { continue }
      return record["address"]?.string
    }
    return nil
  }

  /// Records of the node's log.
  var log: [JSON] {
    (child?.errors ?? "").split(separator: "\n").compactMap { try? JSON(parsing: String($0)) }
  }

  @discardableResult
  func stop(_ signal: Int32 = SIGKILL) throws -> Int32 {
    guard let child else { return 0 }
    self.child = nil
    child.send(signal)
    return try child.wait().exitCode
  }

  func send(_ signal: Int32) { child?.send(signal) }

  /// Another command of the program, with this node's configuration.
  func command(
    _ arguments: String..., input: String? = nil, socketOnly: Bool = false,
    environment: [String: String] = [:]
  ) throws -> ChildProgram {
    var variables = ["KFM_CONFIG": "\(folder.path)/config.toml"]
    if !socketOnly && !address.isEmpty { variables["KFM_URL"] = "http://\(address)" }
    variables.merge(environment) { _, new in new }
    return try ChildProgram(
      TestPaths.kfm, arguments, in: folder, environment: variables, input: input)
  }

  /// Records of a topic.
  func tail(_ topic: String) throws -> [JSON] {
    let outcome = try command("topics", "tail", topic, "--from", "first", "--json").wait()
    guard outcome.exitCode == 0 else {
      throw Waiting.TimedOut(description: "tail of \(topic): \(outcome.errors)")
    }
    return try outcome.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
  }

  var http: TestHTTP { TestHTTP(address: address) }

  /// The resource of a turn that has ended.
  func ended(_ turnID: String, seconds: Double = 30) throws -> JSON {
    var last = JSON.null
    try Waiting.until("end of turn \(turnID)", seconds: seconds) {
      let reply = try http.request("GET", "/v1/turns/\(turnID)")
      last = reply.json
      return ["completed", "failed", "cancelled", "merged"].contains(last["status"]?.string)
    }
    return last
  }
}
