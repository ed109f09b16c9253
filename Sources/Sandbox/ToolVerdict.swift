import Base
import Events
import Glibc
import UringIO

/// What a run's end means, in words for the model and for people.
enum ToolVerdict {
  static func outcome(
    of end: JailRun.End, wall: Nanoseconds, options: SandboxOptions
  ) -> ToolOutcome {
    switch end {
    case .finished(.exited(0), let output, _):
      return .output(String(decoding: output, as: UTF8.self))
    case .finished(let status, _, let line):
      let words = reason(status, options)
      return .failed(line.map { "\(words): \($0)" } ?? words)
    case .timedOut:
      return .failed("the tool did not finish within \(wall.durationText) and was killed")
    case .outputTooLong:
      return .failed("the tool wrote more than \(options.output.sizeText) and was killed")
    case .notStarted(let reason): return .failed("the tool could not be started: \(reason)")
    }
  }

  /// bubblewrap reports a tool that a signal ended as exit status 128 + signal, as shells do.
  private static func reason(_ status: ExitStatus, _ options: SandboxOptions) -> String {
    guard case .exited(let code) = status, code > 128 else { return "the tool failed, \(status)" }
    switch code - 128 {
    case SIGXCPU: return "the tool used more than \(options.cpu.durationText) of CPU time"
    case SIGXFSZ:
      let limit = ByteCount(SandboxOptions.temporaryBytesMax).sizeText
      return "the tool wrote a file of more than \(limit)"
    case let signal: return "the tool was ended by signal \(signal)"
    }
  }
}
