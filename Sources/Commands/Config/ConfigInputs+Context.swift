import Configuration

extension ConfigInputs {
  /// What a command's configuration is read from; `config` is the value of `--config`.
  init(context: CommandContext, config: String?, flags: [ConfigFlag] = []) {
    self.init(
      environment: context.environment, workingDirectory: context.workingDirectory,
      hostName: context.hostName, installPrefix: context.installPrefix, configPath: config,
      flags: flags)
  }
}

extension LoadedConfiguration {
  /// All errors, one a line, as the command's failure.
  static func load(_ inputs: ConfigInputs) throws(CommandFailure) -> LoadedConfiguration {
    do throws(ConfigFailure) {
      return try ConfigLoader(inputs).load()
    } catch {
      throw CommandFailure(.usage, lines: error.issues.map(\.description))
    }
  }
}
