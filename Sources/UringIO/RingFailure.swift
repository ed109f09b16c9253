import CLinux
import Glibc

/// Why this process has no ring, and what the operator can do about it.
package struct RingFailure: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Cause: String, Sendable {
    case kernelTooOld, forbiddenBySysctl, forbiddenBySeccomp, memoryLimit, descriptorLimit, other
  }

  package let cause: Cause
  /// The error number `io_uring_setup` gave.
  package let code: Int32

  package init(code: Int32) {
    self.code = code
    cause =
      switch code {
      // A filter that knows no io_uring says ENOSYS as well.
      case ENOSYS: kfm_is_filtered() != 0 ? .forbiddenBySeccomp : .kernelTooOld
      // The sysctl and a seccomp filter give the same error; only the sysctl can be read back.
      case EPERM: Self.sysctlForbids() ? .forbiddenBySysctl : .forbiddenBySeccomp
      case ENOMEM: .memoryLimit
      case EMFILE, ENFILE: .descriptorLimit
      default: .other
      }
  }

  package var description: String { "\(reason): \(remedy)" }

  /// What is in the way, without what to do about it.
  package var reason: String {
    switch cause {
    case .kernelTooOld: "io_uring is not in this kernel"
    case .forbiddenBySysctl: "io_uring is forbidden by sysctl kernel.io_uring_disabled"
    case .forbiddenBySeccomp:
      "io_uring is forbidden by a seccomp filter (Docker's default profile does so)"
    case .memoryLimit: "io_uring could not lock its memory"
    case .descriptorLimit: "io_uring got no file descriptor"
    case .other: "io_uring could not be set up: \(errorText(code))"
    }
  }

  /// What the operator can do.
  package var remedy: String {
    switch cause {
    case .kernelTooOld: "Linux 6.1 or later is needed"
    case .forbiddenBySysctl: "set it to 0 (sysctl -w kernel.io_uring_disabled=0)"
    case .forbiddenBySeccomp:
      "allow io_uring_setup, io_uring_enter and io_uring_register "
        + "(docker run --security-opt seccomp=deploy/seccomp-kfm.json)"
    case .memoryLimit: "raise the limit (ulimit -l, LimitMEMLOCK=)"
    case .descriptorLimit: "raise the limit (ulimit -n, LimitNOFILE=)"
    case .other: "set node.io to epoll if it stays so"
    }
  }

  private static func sysctlForbids() -> Bool {
    let descriptor = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var digit: UInt8 = 0
    return read(descriptor, &digit, 1) == 1 && digit != UInt8(ascii: "0")
  }

}
