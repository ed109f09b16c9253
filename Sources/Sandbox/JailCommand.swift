import Base

/// The command line that starts a tool in its jail.
///
/// bubblewrap makes the namespaces and the file system; inside it prlimit sets the limits and
/// starts the tool, because the limit on processes counts per user *namespace* only when it is
/// set within. As root, which no limit on processes holds for, the chain begins by leaving root:
/// in a mount namespace of its own the pack is bound to a path that everybody can reach
/// (folders above it may be closed to others), then the user becomes nobody.
package struct JailCommand {
  package var executable: String
  package var arguments: [String]

  /// The user and group a root node's tools run as (nobody, nogroup).
  static let nobody = 65_534
  /// Where the pack is bound on the way out of root; hides the folder in that namespace alone.
  static let handover = "/mnt"
  /// The environment of a tool, all of it (bubblewrap adds PWD).
  static let environment = [("PATH", "/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8")]

  package init(
    programs: JailPrograms, options: SandboxOptions, packDirectory: String, command: [String]
  ) {
    let source = programs.leavingRoot == nil ? packDirectory : Self.handover
    let jail =
      [programs.bubblewrap] + Self.namespaces + Self.fileSystem(pack: source) + Self.process
      + ["--"] + Self.limits(programs, options) + ["--"] + command
    guard let programs = programs.leavingRoot else {
      executable = jail[0]
      arguments = Array(jail.dropFirst())
      return
    }
    executable = programs.unshare
    arguments =
      ["--mount", "--propagation", "private", "--", programs.shell, "-c"]
      + ["\(programs.mount) --bind -- \"$0\" \(Self.handover) && exec \"$@\"", packDirectory]
      + [
        programs.setpriv, "--reuid=\(Self.nobody)", "--regid=\(Self.nobody)", "--clear-groups",
        "--no-new-privs", "--",
      ] + jail
  }

  /// Every namespace, and none that the tool could make itself.
  private static let namespaces = ["--unshare-all", "--unshare-user", "--disable-userns"]

  private static let process =
    [
      "--hostname", "sandbox", "--chdir", "/pack", "--cap-drop", "ALL",
      "--new-session", "--die-with-parent", "--clearenv",
    ] + environment.flatMap { ["--setenv", $0, $1] }

  /// Read-only but for /tmp. `/usr` carries the interpreters; `/etc` has nothing but the links
  /// that Debian's commands need; `/dev` has no tmpfs of its own, which would be writable.
  private static func fileSystem(pack: String) -> [String] {
    let devices = ["null", "zero", "full", "random", "urandom"].flatMap { name in
      ["--dev-bind", "/dev/\(name)", "/dev/\(name)"]
    }
    let streams = [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
      .flatMap { name, target in ["--symlink", "/proc/self/\(target)", "/dev/\(name)"] }
    return ["--ro-bind", "/usr", "/usr"]
      + ["bin", "sbin", "lib", "lib64"].flatMap { ["--symlink", "usr/\($0)", "/\($0)"] }
      + ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives", "--proc", "/proc"]
      + devices + streams
      + ["--size", "\(SandboxOptions.temporaryBytesMax)", "--tmpfs", "/tmp"]
      + ["--ro-bind", pack, "/pack", "--remount-ro", "/"]
  }

  private static func limits(_ programs: JailPrograms, _ options: SandboxOptions) -> [String] {
    // The soft limit sends SIGXCPU, which says what happened; one second later SIGKILL ends
    // whoever ignores it.
    let seconds = max(1, (options.cpu.milliseconds + 999) / 1_000)
    return [
      programs.prlimit, "--cpu=\(seconds):\(seconds + 1)", "--as=\(options.memory.bytes)",
      "--nproc=\(SandboxOptions.processesMax)", "--nofile=\(SandboxOptions.filesMax)",
      "--fsize=\(SandboxOptions.temporaryBytesMax)", "--core=0",
    ]
  }
}
