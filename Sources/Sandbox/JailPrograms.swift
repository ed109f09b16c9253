import Glibc

/// The programs a jail is made with, by absolute path. All but bubblewrap are in packages that
/// Debian marks essential.
package struct JailPrograms: Sendable, Hashable {
  package enum Missing: Error, Hashable {
    case program(String)

    package var remedy: String {
      switch self {
      case .program("bwrap"): "apt-get install bubblewrap"
      case .program("sh"): "apt-get install dash"
      case .program(let name):
        "apt-get install \(name == "mount" ? "mount" : "util-linux")"
      }
    }
  }

  /// What must first happen to leave root: bubblewrap itself needs no privilege, and limits on
  /// processes do not hold for root.
  package struct LeavingRoot: Sendable, Hashable {
    package var unshare: String
    package var shell: String
    package var mount: String
    package var setpriv: String
  }

  package var bubblewrap: String
  package var prlimit: String
  /// Nil when the node does not run as root.
  package var leavingRoot: LeavingRoot?

  package static func locate(
    in searchPath: [String], isRoot: Bool = geteuid() == 0
  ) throws(Missing) -> JailPrograms {
    JailPrograms(
      bubblewrap: try find("bwrap", searchPath), prlimit: try find("prlimit", searchPath),
      leavingRoot: isRoot
        ? LeavingRoot(
          unshare: try find("unshare", searchPath), shell: try find("sh", searchPath),
          mount: try find("mount", searchPath), setpriv: try find("setpriv", searchPath))
        : nil)
  }

  private static func find(_ name: String, _ folders: [String]) throws(Missing) -> String {
    for folder in folders where folder.hasPrefix("/") {
      let path = "\(folder)/\(name)"
      if access(path, X_OK) == 0 { return path }
    }
    throw .program(name)
  }
}
