import Base
package import UringIO

/// Whether this machine can make jails: finds the programs and runs `true` in one. For the runner
/// before its first tool, and for `kfm doctor`.
package enum SandboxProbe {
  package struct Failure: Error, Hashable, Sendable {
    package var detail: String
    package var remedy: String
  }

  /// A jail takes 10 to 100 ms; a machine that needs longer than this cannot run tools.
  private static let wall = Nanoseconds.seconds(5)

  /// Calls `completion` once, on a later turn of the loop.
  package static func run(
    on loop: EventLoop, options: SandboxOptions,
    completion: @escaping (Result<JailPrograms, Failure>) -> Void
  ) {
    guard options.isEnabled else {
      let failure = Failure(
        detail: "process tools are switched off", remedy: "set sandbox.process = \"bwrap\"")
      return loop.enqueue { completion(.failure(failure)) }
    }
    do throws(JailPrograms.Missing) {
      try check(JailPrograms.locate(in: options.searchPath), loop, options, completion)
    } catch {
      let failure = Failure(detail: describe(error), remedy: error.remedy)
      loop.enqueue { completion(.failure(failure)) }
    }
  }

  private static func check(
    _ programs: JailPrograms, _ loop: EventLoop, _ options: SandboxOptions,
    _ completion: @escaping (Result<JailPrograms, Failure>) -> Void
  ) {
    let command = JailCommand(
      programs: programs, options: options, packDirectory: "/usr/share",
      command: ["/usr/bin/true"])
    let request = JailRun.Request(
      command: command, input: [], wall: wall, outputBytesMax: 0, onErrorLine: { _ in })
    let run = JailRun(loop: loop, request: request) { end in
      completion(judge(end, isRoot: programs.leavingRoot != nil).map { programs })
    }
    run.start()
  }

  private static func judge(_ end: JailRun.End, isRoot: Bool) -> Result<Void, Failure> {
    let detail: String
    switch end {
    case .finished(.exited(0), _, _): return .success(())
    case .finished(let status, _, let line): detail = line ?? "\(status)"
    case .timedOut: detail = "no jail within \(wall.durationText)"
    case .outputTooLong: detail = "the probe wrote something"
    case .notStarted(let reason): detail = reason
    }
    let remedy =
      isRoot
      ? "allow mount and user namespaces (in a container: --privileged, or run as a user)"
      : "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, and "
        + "kernel.apparmor_restrict_unprivileged_userns=0 where there is one"
    return .failure(Failure(detail: "no jail can be made: \(detail)", remedy: remedy))
  }

  private static func describe(_ missing: JailPrograms.Missing) -> String {
    switch missing {
    case .program("bwrap"): "bubblewrap (bwrap) is not installed"
    case .program(let name): "\(name) is not installed"
    }
  }
}
