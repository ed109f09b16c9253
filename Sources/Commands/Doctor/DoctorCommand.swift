import Base
import Configuration
import UringIO

/// `kfm doctor`: looks at everything a node needs, and says what to do.
struct DoctorCommand: Command {
  static let definition = CommandDefinition(
    words: ["doctor"], summary: "check kernel, io_uring, sandbox, models, keys, disk, libraries",
    flags: [.json],
    examples: [
      Example("kfm doctor", "before the first start, or when something is wrong"),
      Example("kfm doctor --json", "one JSON object a check"),
    ]
  ) { typed throws(UsageError) in
    DoctorCommand(config: typed["config"], isJSON: typed.has("json"))
  }

  let config: String?
  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let checks = findings(context)
    for check in checks { show(check, context) }
    return checks.contains { $0.status == .fail } ? .failed : .ok
  }

  private func findings(_ context: CommandContext) -> [HealthCheck] {
    var checks = [MachineChecks.kernel()]
    let loaded: LoadedConfiguration
    do throws(CommandFailure) {
      loaded = try .load(ConfigInputs(context: context, config: config))
    } catch {
      checks.append(MachineChecks.ring(.auto, context.clock))
      checks.append(
        HealthCheck(
          "configuration", .fail, error.lines.joined(separator: " | "),
          remedy: "correct it; `kfm config schema` has every key"))
      return checks + [MachineChecks.libraries()]
    }
    let choice = IOChoice(rawValue: loaded.node.node.io) ?? .auto
    let ring = MachineChecks.ring(choice, context.clock)
    checks.append(ring)
    checks.append(
      HealthCheck("configuration", .ok, loaded.file ?? "no file; defaults and environment"))
    if ring.status != .fail { checks.append(SandboxCheck.run(context, loaded.node.sandbox)) }
    checks += ModelChecks(loaded: loaded, workingDirectory: context.workingDirectory).all()
    checks.append(PackCheck.run(loaded.node.packs))
    checks += DataChecks(directory: loaded.node.node.dataDirectory, clock: context.clock).all()
    if ring.status != .fail { checks.append(nodeCheck(context)) }
    return checks + [MachineChecks.libraries()]
  }

  /// A node that does not run is no fault: somebody may be about to start it.
  private func nodeCheck(_ context: CommandContext) -> HealthCheck {
    do throws(CommandFailure) {
      let target = try NodeTarget.find(in: context, config: config)
      let client = try NodeClient(context, target: target)
      defer { client.close() }
      let reply = try client.fetch(NodeRequest(path: "/health/ready"))
      let status = reply.json?["status"]?.string ?? "status \(reply.status)"
      guard reply.status == 200 else {
        return HealthCheck(
          "node", .warn, "\(target.description): \(status)",
          remedy: "its /health/ready names the check that fails")
      }
      return HealthCheck("node", .ok, "\(target.description): \(status)")
    } catch {
      let why = error.lines.first?.replacing("kfm: ", with: "", maxReplacements: 1) ?? ""
      return HealthCheck("node", .warn, why, remedy: "kfm serve")
    }
  }

  private func show(_ check: HealthCheck, _ context: CommandContext) {
    guard !isJSON else { return context.output.line(check.json.text) }
    let style = context.output.style
    let mark =
      switch check.status {
      case .ok: style.good("ok  ")
      case .warn: style.doubtful("warn")
      case .fail: style.bad("fail")
      }
    context.output.line("\(mark)  \(Self.padded(check.check))  \(check.detail)")
    if let remedy = check.remedy, check.status != .ok {
      context.output.line("      \(Self.padded(""))  → \(remedy)")
    }
    // Some checks take a while; what is known is shown.
    context.output.flush()
  }

  private static func padded(_ name: String) -> String {
    name + String(repeating: " ", count: max(0, 13 - name.count))
  }
}
