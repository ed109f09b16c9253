import Configuration

/// `kfm serve`: reads the configuration and hands over to the node.
struct ServeCommand: Command {
  static func definition(_ entry: @escaping NodeEntry) -> CommandDefinition {
    CommandDefinition(
      words: ["serve"], summary: "run the node until SIGTERM or ^C",
      flags: [
        FlagDefinition(
          name: "listen", kind: .text("ADDRESS:PORT"),
          summary: "where HTTP is served (http.listen); port 0 lets the kernel choose"),
        FlagDefinition(
          name: "role", kind: .text("ROLE,…"),
          summary: "parts of a node to run (node.roles); this version runs all of them"),
      ],
      examples: [
        Example("kfm serve", "a node with ./config.toml, or with defaults alone"),
        Example("kfm serve --config /etc/kfm.toml --listen 127.0.0.1:0", "another port"),
      ]
    ) { typed throws(UsageError) in ServeCommand(typed, entry) }
  }

  private let config: String?
  private let flags: [ConfigFlag]
  private let entry: NodeEntry

  private init(_ typed: TypedArguments, _ entry: @escaping NodeEntry) {
    config = typed["config"]
    self.entry = entry
    flags = [("listen", "http.listen"), ("role", "node.roles")].compactMap { name, key in
      typed[name].map { ConfigFlag(name: "--\(name)", key: key, value: $0) }
    }
  }

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let inputs = ConfigInputs(context: context, config: config, flags: flags)
    return try entry(
      NodeStart(context: context, inputs: inputs, loaded: try .load(inputs)))
  }
}
