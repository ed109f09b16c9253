package import Base

/// Limits of a jail: `[sandbox]` of the configuration, and what is fixed.
package struct SandboxOptions: Sendable {
  /// False with `process = "off"`: every run is refused.
  package var isEnabled = true
  /// Address space of each process of a tool.
  package var memory = ByteCount(256 << 20)
  /// CPU time of each process; the kernel ends it.
  package var cpu = Nanoseconds.seconds(5)
  /// From start to end of a run; then the whole process tree is killed.
  package var wall = Nanoseconds.seconds(10)
  /// What a tool may write on standard output.
  package var output = ByteCount(1 << 20)
  /// Folders in which bubblewrap and the small programs around it are looked for.
  package var searchPath = ["/usr/bin", "/bin", "/usr/local/bin"]

  package init() {}

  /// Jails at once: two a core of a small machine, times two for those that only wait.
  static let runsMax = 8
  /// Runs that wait for a jail; more are refused.
  static let queueMax = 256
  /// Processes and threads in one jail: a shell pipeline needs ten, a fork bomb stops here.
  static let processesMax = 64
  /// Open files of each process.
  static let filesMax = 256
  /// Bytes of the private /tmp, and of one file in it; it is memory.
  static let temporaryBytesMax = 64 << 20
  /// Lines of standard error that reach the log from one run, and bytes of each.
  static let errorLinesMax = 100
  static let errorLineBytesMax = 1_024
}
