package import Configuration

/// What a node is started with: its configuration, and how to read it again (SIGHUP).
package struct NodeStart {
  package var context: CommandContext
  package var inputs: ConfigInputs
  package var loaded: LoadedConfiguration
}

/// Runs a node to its end.
package typealias NodeEntry = @Sendable (NodeStart) throws(CommandFailure) -> ExitCode
