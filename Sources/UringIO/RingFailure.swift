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
      case ENOSYS: .kernelTooOld
      // The sysctl and a seccomp filter give the same error; only the sysctl can be read back.
      case EPERM: Self.sysctlForbids() ? .forbiddenBySysctl : .forbiddenBySeccomp
      case ENOMEM: .memoryLimit
      case EMFILE, ENFILE: .descriptorLimit
      default: .other
      }
  }

  package var description: String {
    switch cause {
    case .kernelTooOld:
      "io_uring is not in this kernel: Linux 6.1 or later is needed"
    case .forbiddenBySysctl:
      "io_uring is forbidden by sysctl kernel.io_uring_disabled: set it to 0"
    case .forbiddenBySeccomp:
      "io_uring is forbidden by a seccomp filter (Docker's default profile does so): "
        + "allow io_uring_setup, io_uring_enter and io_uring_register"
    case .memoryLimit:
      "io_uring could not lock its memory: raise the limit (ulimit -l, LimitMEMLOCK=)"
    case .descriptorLimit:
      "io_uring got no file descriptor: raise the limit (ulimit -n, LimitNOFILE=)"
    case .other:
      "io_uring could not be set up: \(errorText(code))"
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
