package import Base
package import Events
package import UringIO

/// Runs process tools in bubblewrap jails. Fails closed: as long as no probe has made a jail on
/// this machine, nothing runs.
package final class BubblewrapRunner: ToolRunner {
  /// A machine on which no jail can be made is looked at again after this, so that installing
  /// bubblewrap needs no restart.
  private static let probeAgain = Nanoseconds.seconds(10)

  private enum Jail {
    case unknown
    case probing
    case works(JailPrograms)
    case refused(SandboxProbe.Failure, at: Nanoseconds)
  }

  private let options: SandboxOptions
  private let loop: EventLoop
  private let logger: Logger
  private var jail = Jail.unknown
  private var waiting: [ToolRun] = []
  private var running = 0

  package init(options: SandboxOptions, loop: EventLoop, logger: Logger) {
    self.options = options
    self.loop = loop
    self.logger = logger
  }

  package func run(
    _ invocation: ToolInvocation, completion: @escaping (ToolOutcome) -> Void
  ) -> any Cancellable {
    let run = ToolRun(invocation: invocation, completion: completion)
    waiting.removeAll { $0.isOver }
    guard waiting.count < SandboxOptions.queueMax else {
      loop.enqueue { run.end(.failed("too many tools are waiting; try again later")) }
      return run
    }
    waiting.append(run)
    // Never from inside this call: a refusal would come before the caller has its handle.
    loop.enqueue { [self] in startNext() }
    return run
  }

  private func startNext() {
    switch jail {
    case .probing: break
    case .works(let programs):
      while running < SandboxOptions.runsMax, !waiting.isEmpty {
        start(waiting.removeFirst(), programs)
      }
    case .refused(let failure, let at)
    where loop.clock.monotonic() - at < Self.probeAgain:
      refuseWaiting(failure)
    case .unknown, .refused: probe()
    }
  }

  private func probe() {
    jail = .probing
    SandboxProbe.run(on: loop, options: options) { [self] result in
      switch result {
      case .success(let programs):
        jail = .works(programs)
        startNext()
      case .failure(let failure):
        jail = .refused(failure, at: loop.clock.monotonic())
        logger.error(
          "no sandbox, tools are refused",
          ["detail": .string(failure.detail), "remedy": .string(failure.remedy)])
        refuseWaiting(failure)
      }
    }
  }

  private func refuseWaiting(_ failure: SandboxProbe.Failure) {
    let refused = waiting
    waiting = []
    for run in refused {
      run.end(
        .failed(
          "the tool was not run, because there is no sandbox: \(failure.detail)."
            + " Remedy: \(failure.remedy)"))
    }
  }

  private func start(_ run: ToolRun, _ programs: JailPrograms) {
    guard !run.isOver else { return }
    let invocation = run.invocation
    guard !invocation.tool.command.isEmpty else { return run.end(.failed("no command")) }
    let wall = min(options.wall, invocation.tool.timeout ?? options.wall)
    let command = JailCommand(
      programs: programs, options: options, packDirectory: invocation.packDirectory,
      command: invocation.tool.command)
    let request = JailRun.Request(
      command: command, input: invocation.arguments, wall: wall,
      outputBytesMax: options.output.bytes,
      onErrorLine: { [logger] line in
        logger.info(
          "tool stderr", trace: invocation.traceID,
          ["tool": .string(invocation.tool.name), "line": .string(line)])
      })
    running += 1
    let process = JailRun(loop: loop, request: request) { [self] end in
      running -= 1
      run.end(ToolVerdict.outcome(of: end, wall: wall, options: options))
      startNext()
    }
    run.process = process
    process.start()
  }
}

/// A run from its request to its outcome.
private final class ToolRun: Cancellable {
  let invocation: ToolInvocation
  var process: JailRun?
  private var completion: ((ToolOutcome) -> Void)?

  init(invocation: ToolInvocation, completion: @escaping (ToolOutcome) -> Void) {
    self.invocation = invocation
    self.completion = completion
  }

  /// Ended or cancelled.
  var isOver: Bool { completion == nil }

  func end(_ outcome: ToolOutcome) {
    let completion = completion
    self.completion = nil
    process = nil
    completion?(outcome)
  }

  func cancel() {
    completion = nil
    process?.kill()
    process = nil
  }
}
