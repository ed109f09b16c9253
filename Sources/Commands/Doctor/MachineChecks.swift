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

  static func ring(_ context: CommandContext) -> HealthCheck {
    do throws(CommandFailure) {
      try EventLoop.forCommand(context).close()
      return HealthCheck("io_uring", .ok, "allowed")
    } catch {
      let why = error.lines.first?.replacing("kfm: ", with: "", maxReplacements: 1) ?? ""
      return HealthCheck(
        "io_uring", .fail, why, remedy: "allow io_uring; this version has no other way of I/O")
    }
  }

  static func libraries() -> HealthCheck {
    let list = BuildInfo.libraries().map { "\($0.name) \($0.version)" }
    return HealthCheck("libraries", .ok, list.joined(separator: ", "))
  }
}
