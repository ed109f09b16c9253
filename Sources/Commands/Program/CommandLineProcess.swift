import Base
import Glibc
import HTTP

/// The process as a command sees it: the only place where environment and standard streams are
/// taken from it.
package enum CommandLineProcess {
  /// Runs the command that `arguments` name (the first is the program), and ends the process with
  /// its exit code.
  package static func run(_ arguments: [String], serve: @escaping NodeEntry) -> Never {
    // A closed pipe is an error of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    // For commands without a loop; those with one, and the node, take over (EventLoop.signals).
    signal(SIGINT) { _ in _exit(ExitCode.interrupted.rawValue) }
    // A parent may have blocked them (worker threads of its runtime do), and masks are inherited.
    unblock([SIGINT, SIGTERM])
    let program = Program(table: CommandTable(serve: serve))
    let code = program.run(Array(arguments.dropFirst()), in: context())
    // Not exit(): its handlers would take libraries from under side threads that still work.
    _exit(code.rawValue)
  }

  private static func unblock(_ signals: [Int32]) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    sigprocmask(SIG_UNBLOCK, &set, nil)
  }

  private static func context() -> CommandContext {
    let environment = environment()
    func writer(_ descriptor: Int32) -> OutputWriter {
      let isTerminal = isatty(descriptor) == 1
      return OutputWriter(
        DescriptorSink(descriptor), isTerminal: isTerminal,
        style: Style(isTerminal: isTerminal, environment: environment))
    }
    return CommandContext(
      environment: environment,
      directories: .init(
        working: workingDirectory(), executable: executable(), hostName: hostName()),
      streams: .init(
        input: DescriptorInput(STDIN_FILENO), output: writer(STDOUT_FILENO),
        errors: writer(STDERR_FILENO)),
      makeTransport: { loop in NodeTransport(loop: loop) })
  }

  private static func environment() -> [String: String] {
    var variables: [String: String] = [:]
    for entry in (TextFile.read("/proc/self/environ", limit: 4 << 20) ?? "").split(separator: "\0")
    {
      guard let mark = entry.firstIndex(of: "=") else { continue }
      let name = String(entry[..<mark])
      // Of two values the first counts, as for getenv.
      if variables[name] == nil { variables[name] = String(entry[entry.index(after: mark)...]) }
    }
    return variables
  }

  private static func workingDirectory() -> String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
  }

  private static func executable() -> String {
    guard let path = realpath("/proc/self/exe", nil) else { return "/usr/local/bin/kfm" }
    defer { free(path) }
    return String(cString: path)
  }

  private static func hostName() -> String {
    var name = [CChar](repeating: 0, count: Int(HOST_NAME_MAX) + 1)
    guard gethostname(&name, name.count) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
