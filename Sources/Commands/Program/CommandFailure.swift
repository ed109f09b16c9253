/// Why a command ended otherwise than it should: what is said on standard error, and the exit code.
package struct CommandFailure: Error, Equatable {
  package var exitCode: ExitCode
  /// Printed as they are, one a line.
  package var lines: [String]

  package init(_ exitCode: ExitCode, lines: [String]) {
    self.exitCode = exitCode
    self.lines = lines
  }

  /// One sentence in the program's name; says what to do where there is something to be done.
  package init(_ exitCode: ExitCode, _ message: String) {
    self.init(exitCode, lines: ["kfm: \(message)"])
  }
}
