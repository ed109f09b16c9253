package import Base

package struct ToolInvocation: Sendable {
  package var tool: ToolDefinition
  /// Absolute path of the pack, shown to the tool read-only as `/pack`.
  package var packDirectory: String
  /// One JSON object's text, already validated against the tool's schema.
  package var arguments: [UInt8]
  package var traceID: String

  package init(
    tool: ToolDefinition, packDirectory: String, arguments: [UInt8], traceID: String
  ) {
    self.tool = tool
    self.packDirectory = packDirectory
    self.arguments = arguments
    self.traceID = traceID
  }
}

package enum ToolOutcome: Sendable, Hashable {
  /// What the tool wrote on standard output.
  case output(String)
  /// Why there is no output, in words for the model: exit code, timeout, output cap, no jail.
  case failed(String)
}

/// Runs tools, never outside the sandbox: without a jail the outcome is `failed`.
package protocol ToolRunner: AnyObject {
  /// `completion` is called once on the loop, never before this returns, and not after `cancel`,
  /// which kills the tool's whole process tree.
  func run(_ invocation: ToolInvocation, completion: @escaping (ToolOutcome) -> Void)
    -> any Cancellable
}
