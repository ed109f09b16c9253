import CLinux
import Glibc

/// What to run, and with what.
package struct SpawnOptions: Sendable {
  /// What a standard stream of the child is.
  package enum Stream: Sendable {
    case null
    /// Stays open in the parent.
    case descriptor(Int32)
    /// A new pipe; its parent's end, non-blocking, is in the `ChildProcess`.
    case pipe
  }

  /// An absolute path; PATH is not searched.
  package var executable: String
  /// Without the program's own name, which is `executable`.
  package var arguments: [String]
  /// `NAME=value`; nothing is inherited.
  package var environment: [String] = []
  package var workingDirectory: String?
  package var standardInput = Stream.null
  package var standardOutput = Stream.null
  package var standardError = Stream.null
  /// Given to the child as descriptors 3, 4 … in this order. All others are closed in it.
  package var extraDescriptors: [Int32] = []
  /// Its own session and process group, so that it gets no signals of the terminal and can be
  /// killed with everything it started (`kill(_:group:)`).
  package var newSession = true
  /// The kernel kills it when the thread that spawned it ends.
  package var dieWithParent = true

  package init(executable: String, arguments: [String] = []) {
    self.executable = executable
    self.arguments = arguments
  }
}

/// How a process ended.
package enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
  case exited(Int32)
  case signaled(Int32)

  package var description: String {
    switch self {
    case .exited(let code): "exit status \(code)"
    case .signaled(let signal): "killed by signal \(signal)"
    }
  }
}

/// A child process, waited for through its pidfd. When its loop closes before it has ended, it is
/// killed with its group: there are no orphans and no zombies.
package final class ChildProcess {
  package let pid: Int32
  package let pidDescriptor: Int32
  /// The parent's ends of pipes. Whoever takes one closes it; -1 where there is no pipe.
  package let standardInput: Int32
  package let standardOutput: Int32
  package let standardError: Int32
  /// Nil while it runs.
  package private(set) var exitStatus: ExitStatus?
  private let ownsGroup: Bool
  private var watch: PollRegistration?
  private var exitBody: ((ExitStatus) -> Void)?

  fileprivate init(
    loop: EventLoop, process: (pid: Int32, descriptor: Int32), pipes: [Int32], ownsGroup: Bool
  ) {
    (pid, pidDescriptor) = process
    standardInput = pipes[0]
    standardOutput = pipes[1]
    standardError = pipes[2]
    self.ownsGroup = ownsGroup
    // The watch keeps the process alive as an object until it has been reaped: no zombies.
    watch = loop.poll(descriptor: pidDescriptor, events: .readable) { [self] _ in reap() }
  }

  deinit {
    if exitStatus == nil {
      kill(SIGKILL, group: true)
      kfm_reap_killed(pid)
    }
    Glibc.close(pidDescriptor)
  }

  /// Calls `body` once, when the process has ended; at once if it has already.
  package func onExit(_ body: @escaping (ExitStatus) -> Void) {
    if let exitStatus { body(exitStatus) } else { exitBody = body }
  }

  /// Sends a signal to the process; with `group` to everything in its process group. Does
  /// nothing once it has been reaped.
  package func kill(_ signal: Int32, group: Bool = false) {
    guard exitStatus == nil else { return }
    // Not reaped, so the number cannot belong to anyone else yet.
    _ = Glibc.kill(group && ownsGroup ? -pid : pid, signal)
  }

  private func reap() {
    var code: Int32 = 0
    let result = kfm_reap(pid, &code)
    guard result != 0 else { return }
    watch?.cancel()
    watch = nil
    let status: ExitStatus =
      result < 0 ? .exited(-1) : code < 0 ? .signaled(-code) : .exited(code)
    exitStatus = status
    let body = exitBody
    exitBody = nil
    body?(status)
  }
}

extension EventLoop {
  /// Starts a process. Fails with the step that failed (`chdir`, `exec` …), also when that step
  /// was taken in the child.
  package func spawn(_ options: SpawnOptions) throws(IOFailure) -> ChildProcess {
    var pipes = SpawnPipes()
    defer { pipes.closeChildEnds() }
    do throws(IOFailure) {
      let streams = [
        try pipes.child(options.standardInput, 0), try pipes.child(options.standardOutput, 1),
        try pipes.child(options.standardError, 2),
      ]
      let process = try start(options, descriptors: streams + options.extraDescriptors)
      return ChildProcess(
        loop: self, process: process, pipes: pipes.parentEnds, ownsGroup: options.newSession)
    } catch {
      pipes.closeParentEnds()
      throw error
    }
  }

  private func start(
    _ options: SpawnOptions, descriptors: [Int32]
  ) throws(IOFailure) -> (pid: Int32, descriptor: Int32) {
    let arguments = CStrings([options.executable] + options.arguments)
    let environment = CStrings(options.environment)
    let directory = CStrings([options.workingDirectory].compactMap(\.self))
    var descriptor: Int32 = -1
    var step: UnsafePointer<CChar>?
    let pid = descriptors.withUnsafeBufferPointer { descriptors in
      var request = kfm_spawn_request(
        arguments: arguments.pointer, environment: environment.pointer,
        directory: directory.pointer[0], descriptors: descriptors.baseAddress,
        descriptor_count: Int32(descriptors.count), new_session: options.newSession ? 1 : 0,
        die_with_parent: options.dieWithParent ? 1 : 0)
      return kfm_spawn(&request, &descriptor, &step)
    }
    guard pid > 0 else {
      throw IOFailure(
        code: -pid, operation: step.map { String(cString: $0) } ?? "spawn",
        subject: options.executable)
    }
    return (pid, descriptor)
  }
}

/// The pipes of one spawn.
private struct SpawnPipes {
  var parentEnds: [Int32] = [-1, -1, -1]
  private var childEnds: [Int32] = []

  /// The child's descriptor for one of its standard streams, -1 for /dev/null.
  mutating func child(_ stream: SpawnOptions.Stream, _ index: Int) throws(IOFailure) -> Int32 {
    switch stream {
    case .null: return -1
    case .descriptor(let descriptor): return descriptor
    case .pipe:
      var ends: [Int32] = [-1, -1]
      guard kfm_pipe(&ends) == 0 else { throw .last("pipe") }
      let parent = index == 0 ? ends[1] : ends[0]
      let child = index == 0 ? ends[0] : ends[1]
      _ = fcntl(parent, F_SETFL, O_NONBLOCK | (index == 0 ? O_WRONLY : O_RDONLY))
      parentEnds[index] = parent
      childEnds.append(child)
      return child
    }
  }

  func closeChildEnds() { for end in childEnds { close(end) } }
  func closeParentEnds() { for end in parentEnds where end >= 0 { close(end) } }
}

/// A null-terminated array of C strings.
private final class CStrings {
  let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    pointer = .allocate(capacity: count + 1)
    for (index, string) in strings.enumerated() { pointer[index] = strdup(string) }
    pointer[count] = nil
  }

  deinit {
    for index in 0..<count { free(pointer[index]) }
    pointer.deallocate()
  }
}
