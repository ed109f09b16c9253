import Base
import Configuration
import Sandbox
import UringIO

/// Whether tools can be run: makes one jail.
enum SandboxCheck {
  private static let patience = Nanoseconds.seconds(10)

  static func run(
    _ context: CommandContext, _ sandbox: NodeConfiguration.Sandbox
  ) -> HealthCheck {
    guard sandbox.process != "off" else {
      return HealthCheck("sandbox", .ok, "process tools are switched off (sandbox.process)")
    }
    let loop: EventLoop
    do throws(CommandFailure) {
      loop = try EventLoop.forCommand(context)
    } catch {
      return HealthCheck("sandbox", .warn, "not tried: there is no event loop")
    }
    defer { loop.close() }
    var result: Result<JailPrograms, SandboxProbe.Failure>?
    SandboxProbe.run(on: loop, options: SandboxOptions()) { result = $0 }
    _ = loop.runUntil({ result != nil }, deadline: patience)
    switch result {
    case .success(let programs):
      let how = programs.leavingRoot == nil ? "" : ", leaving root first"
      return HealthCheck("sandbox", .ok, "a jail was made with \(programs.bubblewrap)\(how)")
    case .failure(let failure):
      // Packs without tools work all the same.
      return HealthCheck("sandbox", .warn, failure.detail, remedy: failure.remedy)
    case nil:
      return HealthCheck(
        "sandbox", .warn, "no jail within \(patience.durationText)",
        remedy: "tools will be refused until this works")
    }
  }
}
