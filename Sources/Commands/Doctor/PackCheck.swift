import Configuration
import Events
import PersonalityPacks

/// Whether there is a pack to answer.
enum PackCheck {
  static func run(_ packs: NodeConfiguration.Packs) -> HealthCheck {
    let registry: PackRegistry
    do throws(PackFailure) {
      registry = try PackRegistry(directory: packs.directory, defaultName: packs.default)
    } catch {
      return HealthCheck(
        "packs", .fail, error.issues.map(\.description).joined(separator: " | "),
        remedy: "set packs.dir to a folder of packs")
    }
    let names = registry.personalities.map(\.id)
    let refused = registry.refusals.map(\.name)
    guard registry.defaultPersonality != nil else {
      return HealthCheck(
        "packs", .fail, "no pack in \(packs.directory) can answer",
        remedy: "kfm packs new NAME, or set packs.default")
    }
    guard refused.isEmpty else {
      return HealthCheck(
        "packs", .warn, "refused: \(refused.joined(separator: ", "))",
        remedy: "kfm packs validate \(packs.directory)/\(refused[0])")
    }
    return HealthCheck("packs", .ok, "\(names.joined(separator: ", ")) in \(packs.directory)")
  }
}
