import Base
import Events

/// Serves `archivist` (the default) and `minimal`; `broken` is refused.
final class FakePersonalities: PersonalityCatalog {
  var defaultID: String? = "archivist"

  func personality(id: String) -> Personality? {
    guard ["archivist", "minimal"].contains(id) else { return nil }
    return Personality(
      id: id, version: "1.0.0", description: "A \(id).", digest: "d-\(id)",
      directory: "/packs/\(id)",
      planner: .direct, systemPrompt: "Answer.")
  }

  var defaultPersonality: Personality? { defaultID.flatMap(personality(id:)) }

  func statuses() -> [PersonalityStatus] {
    ["archivist", "broken", "minimal"].map { id in
      PersonalityStatus(
        id: id, name: id, version: "1.0.0", description: "A \(id).", digest: "d-\(id)",
        refusal: id == "broken" ? "manifest.yaml:2: not closed" : nil)
    }
  }
}

/// Knows the model `scripted/m`.
final class FakeProviders: ProviderInterface {
  var reachable: [(provider: String, reachable: Bool, detail: String)] = [("scripted", true, "")]

  func generate(_ request: GenerateRequest, sink: @escaping (GenerateEvent) -> Void)
    -> any Cancellable
  {
    preconditionFailure("the gateway calls no model")
  }

  func profile(model: String?, route: String) -> ModelProfile? {
    model == nil || model == "scripted/m" ? ModelProfile() : nil
  }

  func reachability() -> [(provider: String, reachable: Bool, detail: String)] { reachable }
  func refreshReachability(_ completion: @escaping () -> Void) { completion() }
}

final class StillClock: Clock {
  static let now = Timestamp(rfc3339: "2026-11-25T22:10:21.123456Z")!

  func monotonic() -> Nanoseconds { .zero }
  func wall() -> Timestamp { Self.now }
}
