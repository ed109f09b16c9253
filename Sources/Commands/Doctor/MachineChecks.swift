import Base
import Glibc
import UringIO

/// What the machine itself brings.
enum MachineChecks {
  /// The first release with everything the ring is set up with.
  private static let kernelNeeded = (6, 1)

  static func kernel() -> HealthCheck {
    var name = utsname()
    guard uname(&name) == 0 else { return HealthCheck("kernel", .warn, "uname gives nothing") }
    let release = withUnsafeBytes(of: &name.release) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let numbers = release.split { $0 == "." || $0 == "-" }.prefix(2).compactMap { Int($0) }
    guard numbers.count == 2, (numbers[0], numbers[1]) >= kernelNeeded else {
      return HealthCheck(
        "kernel", .warn, "Linux \(release)",
        remedy: "Linux \(kernelNeeded.0).\(kernelNeeded.1) or later is what this is tested with")
    }
    return HealthCheck("kernel", .ok, "Linux \(release)")
  }

  /// Which way of input and output a node with this `node.io` has here, why, and how to get a
  /// better one.
  static func ring(_ choice: IOChoice, _ clock: any Clock) -> HealthCheck {
    var options = EventLoopOptions.client
    options.io = choice == .epoll ? .uring : choice
    do throws(RingFailure) {
      let loop = try EventLoop(options: options, clock: clock)
      defer { loop.close() }
      guard let fallback = loop.fallback else {
        return HealthCheck(
          "io_uring", .ok,
          choice == .epoll ? "allowed, but node.io chooses epoll" : "allowed, a node uses it")
      }
      return HealthCheck(
        "io_uring", .warn, "\(fallback.reason); a node uses epoll in its place",
        remedy: fallback.remedy)
    } catch {
      switch choice {
      case .epoll:
        return HealthCheck("io_uring", .ok, "\(error.reason); node.io chooses epoll")
      // What epoll would lack as well.
      case .auto: return HealthCheck("io_uring", .fail, error.reason, remedy: error.remedy)
      case .uring:
        return HealthCheck(
          "io_uring", .fail, "\(error.reason), and node.io insists on it",
          remedy: "\(error.remedy), or set node.io to auto")
      }
    }
  }

  static func libraries() -> HealthCheck {
    let list = BuildInfo.libraries().map { "\($0.name) \($0.version)" }
    return HealthCheck("libraries", .ok, list.joined(separator: ", "))
  }
}
