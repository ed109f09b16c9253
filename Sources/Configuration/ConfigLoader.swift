import Base

/// A command line option that sets a key: the strongest layer.
package struct ConfigFlag: Sendable, Hashable {
  /// As typed, `--listen`.
  package var name: String
  /// `http.listen`.
  package var key: String
  package var value: String

  package init(name: String, key: String, value: String) {
    self.name = name
    self.key = key
    self.value = value
  }
}

/// All that a configuration depends on beside its file: nothing here is read from the process.
package struct ConfigInputs: Sendable {
  package var environment: [String: String]
  /// Absolute.
  package var workingDirectory: String
  package var hostName: String
  /// The folder above the `bin` that the program was started from.
  package var installPrefix: String
  /// The value of `--config`.
  package var configPath: String?
  package var flags: [ConfigFlag]

  package init(
    environment: [String: String], workingDirectory: String, hostName: String,
    installPrefix: String, configPath: String? = nil, flags: [ConfigFlag] = []
  ) {
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.hostName = hostName
    self.installPrefix = installPrefix
    self.configPath = configPath
    self.flags = flags
  }
}

/// A configuration as it was loaded. Secrets are inside, so a dump of it shows its file alone.
package struct LoadedConfiguration: Sendable, CustomStringConvertible, CustomReflectable {
  package var node: NodeConfiguration
  /// The file it was read from, as it was named; nil when there was none.
  package var file: String?
  /// The process' environment over that of `.env`: where vendors' own key names are looked up.
  package var environment: [String: String]
  /// One row a key, in the order of docs/surface.md.
  package var rows: [ConfigRow]
  /// By concrete path, secrets included: what two configurations are compared by.
  let values: [String: ConfigValue]

  package var description: String { "configuration of \(file ?? "defaults")" }
  package var customMirror: Mirror { Mirror(self, children: ["file": file as Any]) }
}

/// Finds, reads, checks and types the configuration (docs/surface.md). Works on files
/// synchronously: before the loop starts, or on a side thread.
package struct ConfigLoader {
  /// A configuration is written by hand.
  package static let fileBytesMax = 1 << 20

  private let inputs: ConfigInputs

  package init(_ inputs: ConfigInputs) { self.inputs = inputs }

  /// The file that `load` reads, as it is shown to people; nil when defaults alone hold. A file
  /// that was named is returned whether it exists or not.
  package var file: String? {
    if let path = inputs.configPath { return path }
    if let path = inputs.environment["KFM_CONFIG"], !path.isEmpty { return path }
    let local = FilePath.absolute("config.toml", in: inputs.workingDirectory)
    return FilePath.isFile(local) ? "config.toml" : nil
  }

  /// Where relative paths start: absolute.
  package var directory: String {
    guard let file else { return inputs.workingDirectory }
    return FilePath.directory(of: FilePath.absolute(file, in: inputs.workingDirectory))
  }

  /// All or nothing: with anything wrong there is no configuration, and the failure has all of it.
  package func load() throws(ConfigFailure) -> LoadedConfiguration {
    let file = file
    var issues: [ConfigIssue] = []
    let root = file.flatMap { readFile($0, &issues) }
    // Without the file's content everything else would be measured against the wrong thing.
    guard issues.isEmpty else { throw ConfigFailure(issues: issues) }
    let environment = mergedEnvironment(&issues)
    var resolver = ConfigResolver(
      filePath: file, directory: directory,
      surroundings: ConfigSurroundings(
        environment: environment, hostName: inputs.hostName,
        workingDirectory: inputs.workingDirectory, installPrefix: inputs.installPrefix,
        values: [:]))
    if let root { resolver.addFile(root) }
    resolver.addEnvironment()
    for flag in inputs.flags { resolver.addFlag(flag) }
    resolver.resolve()
    var checks = ConfigChecks(resolver, filePath: file)
    checks.run()
    issues = Self.ordered(issues + resolver.issues + checks.issues)
    guard issues.isEmpty else { throw ConfigFailure(issues: issues) }
    return LoadedConfiguration(
      node: NodeConfiguration(
        ConfigValues(resolved: resolver.resolved),
        providerCount: resolver.items["providers"]?.count ?? 0,
        routeCount: resolver.items["routes"]?.count ?? 0),
      file: file, environment: environment, rows: ConfigRow.rows(of: resolver),
      values: resolver.resolved.mapValues(\.value))
  }

  private func readFile(_ file: String, _ issues: inout [ConfigIssue]) -> TomlNode? {
    let path = FilePath.absolute(file, in: inputs.workingDirectory)
    do throws(FilePath.ReadFailure) {
      let bytes = try FilePath.read(path, limit: Self.fileBytesMax)
      do throws(TomlError) {
        return try TomlDocument.parse(bytes)
      } catch {
        issues.append(
          ConfigIssue(
            source: .file(file, line: error.line), key: "",
            text: "\(error.reason); expected TOML 1.0"))
      }
    } catch {
      issues.append(
        ConfigIssue(
          source: .file(file, line: 0), key: "",
          text: "cannot be read: \(error.reason); expected a configuration file"))
    }
    return nil
  }

  private func mergedEnvironment(_ issues: inout [ConfigIssue]) -> [String: String] {
    var environment = inputs.environment.filter { !$0.value.isEmpty }
    let path = FilePath.absolute(".env", in: directory)
    guard file != nil, FilePath.isFile(path) else { return environment }
    do {
      let bytes = try FilePath.read(path, limit: DotEnv.bytesMax)
      let (variables, failures) = DotEnv.parse(String(decoding: bytes, as: UTF8.self))
      environment.merge(variables.filter { !$0.value.isEmpty }) { real, _ in real }
      for failure in failures {
        issues.append(
          ConfigIssue(source: .file(path, line: failure.line), key: "", text: failure.reason))
      }
    } catch {
      issues.append(
        ConfigIssue(
          source: .file(path, line: 0), key: "", text: "cannot be read: \(error.reason)"))
    }
    return environment
  }

  /// By file and line; what is outside files comes after.
  private static func ordered(_ issues: [ConfigIssue]) -> [ConfigIssue] {
    func rank(_ issue: ConfigIssue) -> (String, Int) {
      if case .file(let path, let line) = issue.source { (path, line) } else { ("\u{10FFFF}", 0) }
    }
    return issues.sorted { rank($0) < rank($1) }
  }
}
