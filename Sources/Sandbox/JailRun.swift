import Base
import Glibc
import UringIO

/// One process tree in a jail: its three streams, its deadline, its end.
final class JailRun {
  /// How a run ended.
  enum End: Equatable {
    case finished(ExitStatus, output: [UInt8], firstErrorLine: String?)
    /// Killed at its deadline.
    case timedOut
    /// Killed for writing more than it may.
    case outputTooLong
    /// Never started.
    case notStarted(String)
  }

  struct Request {
    var command: JailCommand
    var input: [UInt8]
    var wall: Nanoseconds
    var outputBytesMax: Int
    /// Gets each line of standard error, bounded in number and length.
    var onErrorLine: (String) -> Void
  }

  /// After the process has ended its pipes are empty at once; a reader that still waits then is
  /// waited for no longer than this.
  private static let drainTimeout = Nanoseconds.seconds(1)

  private let loop: EventLoop
  private let request: Request
  private var completion: ((End) -> Void)?
  private var process: ChildProcess?
  private var input: PipeWriter?
  private var output: PipeReader?
  private var errors: PipeReader?
  private var errorLines: ErrorLines
  private var timer: (any Cancellable)?
  private var collected: [UInt8] = []
  private var status: ExitStatus?
  /// Why it was killed.
  private var verdict: End?

  /// `completion` is called once, on a later turn, when nothing of the tree runs any more.
  init(loop: EventLoop, request: Request, completion: @escaping (End) -> Void) {
    self.loop = loop
    self.request = request
    self.completion = completion
    errorLines = ErrorLines(onLine: request.onErrorLine)
  }

  func start() {
    var options = SpawnOptions(
      executable: request.command.executable, arguments: request.command.arguments)
    options.environment = ["PATH=/usr/bin:/bin"]
    options.workingDirectory = "/"
    options.standardInput = .pipe
    options.standardOutput = .pipe
    options.standardError = .pipe
    do throws(IOFailure) {
      attach(try loop.spawn(options))
    } catch {
      loop.enqueue { [self] in end(.notStarted("\(error)")) }
    }
  }

  /// Kills the whole tree: the process group while the jail is being made, and through
  /// bubblewrap's parent-death signal everything in the process namespace afterwards.
  func kill() {
    process?.kill(SIGKILL, group: true)
  }

  private func attach(_ process: ChildProcess) {
    self.process = process
    let input = PipeWriter(loop: loop, descriptor: process.standardInput)
    input.send(request.input)
    input.closeAfterSending()
    self.input = input
    let output = PipeReader(loop: loop, descriptor: process.standardOutput)
    output.onReceive = { [self] in received($0) }
    output.onEnd = { [self] _ in close(\.output) }
    self.output = output
    let errors = PipeReader(loop: loop, descriptor: process.standardError)
    errors.onReceive = { [self] in errorLines.accept($0) }
    errors.onEnd = { [self] _ in close(\.errors) }
    self.errors = errors
    timer = loop.schedule(after: request.wall) { [self] in condemn(.timedOut) }
    process.onExit { [self] in exited($0) }
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    guard collected.count + bytes.count <= request.outputBytesMax else {
      return condemn(.outputTooLong)
    }
    collected.append(contentsOf: bytes)
  }

  private func condemn(_ verdict: End) {
    guard self.verdict == nil, status == nil else { return }
    self.verdict = verdict
    kill()
  }

  private func exited(_ status: ExitStatus) {
    self.status = status
    timer?.cancel()
    timer = loop.schedule(after: Self.drainTimeout) { [self] in finish() }
    if output == nil, errors == nil { finish() }
  }

  private func close(_ stream: ReferenceWritableKeyPath<JailRun, PipeReader?>) {
    self[keyPath: stream]?.close()
    self[keyPath: stream] = nil
    if status != nil, output == nil, errors == nil { finish() }
  }

  private func finish() {
    guard let status else { return }
    errorLines.flush()
    end(
      verdict ?? .finished(status, output: collected, firstErrorLine: errorLines.first))
  }

  private func end(_ end: End) {
    timer?.cancel()
    timer = nil
    input?.close()
    output?.close()
    errors?.close()
    let completion = completion
    self.completion = nil
    completion?(end)
  }
}

/// Splits standard error into lines, and stops at limits.
private struct ErrorLines {
  private(set) var first: String?
  private let onLine: (String) -> Void
  private var line: [UInt8] = []
  private var count = 0

  init(onLine: @escaping (String) -> Void) { self.onLine = onLine }

  mutating func accept(_ bytes: UnsafeRawBufferPointer) {
    guard count < SandboxOptions.errorLinesMax else { return }
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        flush()
      } else if line.count < SandboxOptions.errorLineBytesMax {
        line.append(byte)
      }
    }
  }

  mutating func flush() {
    guard !line.isEmpty, count < SandboxOptions.errorLinesMax else { return }
    let text = String(decoding: line, as: UTF8.self)
    line.removeAll(keepingCapacity: true)
    count += 1
    first = first ?? text
    onLine(text)
  }
}
