package import Base
package import HTTP
package import UringIO

/// All that a command takes from its process, as values: tests hand in their own.
package struct CommandContext {
  package var environment: [String: String]
  /// Absolute.
  package var workingDirectory: String
  /// The program's own file, with links resolved.
  package var executable: String
  package var hostName: String
  package var input: any InputSource
  package var output: OutputWriter
  package var errors: OutputWriter
  package var clock: any Clock
  package var random: any RandomSource
  /// Makes the way to other HTTP servers, on the loop's thread.
  package var makeTransport: (EventLoop) -> any HTTPTransport

  package init(
    environment: [String: String], directories: Directories, streams: Streams,
    clock: any Clock = SystemClock(), random: any RandomSource = SystemRandom(),
    makeTransport: @escaping (EventLoop) -> any HTTPTransport
  ) {
    self.environment = environment
    workingDirectory = directories.working
    executable = directories.executable
    hostName = directories.hostName
    input = streams.input
    output = streams.output
    errors = streams.errors
    self.clock = clock
    self.random = random
    self.makeTransport = makeTransport
  }

  /// Where the process is.
  package struct Directories {
    package var working: String
    package var executable: String
    package var hostName: String

    package init(working: String, executable: String, hostName: String) {
      self.working = working
      self.executable = executable
      self.hostName = hostName
    }
  }

  package struct Streams {
    package var input: any InputSource
    package var output: OutputWriter
    package var errors: OutputWriter

    package init(input: any InputSource, output: OutputWriter, errors: OutputWriter) {
      self.input = input
      self.output = output
      self.errors = errors
    }
  }

  /// The value of a variable; one that is empty counts as unset.
  package func variable(_ name: String) -> String? {
    guard let value = environment[name], !value.isEmpty else { return nil }
    return value
  }

  /// The folder above the `bin` that the program was started from.
  package var installPrefix: String {
    Path.directory(of: Path.directory(of: executable))
  }

  /// Says something that is no result: on standard error, at once.
  package func say(_ line: String) {
    errors.line(line)
    errors.flush()
  }
}
