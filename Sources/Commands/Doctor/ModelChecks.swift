import Base
import Configuration
import MemoryService
import Providers

/// Which models there are, and which keys; keys by their names only.
struct ModelChecks {
  let loaded: LoadedConfiguration
  let workingDirectory: String

  /// Keys that the automatic choice looks for.
  private static let keyNames = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"]

  func all() -> [HealthCheck] { [providers, localModel, embedder, keys] }

  /// Absolute: what is shown must not depend on where it is read.
  private var directories: [String] {
    loaded.node.modelDirectories.map { Path.absolute($0, in: workingDirectory) }
  }

  private var providers: HealthCheck {
    let names = loaded.node.providers.map { "\($0.name) (\($0.kind))" }
    guard names.isEmpty else {
      return HealthCheck("providers", .ok, names.joined(separator: ", "))
    }
    let choice = AutomaticChoice.choose(
      .init(
        environment: loaded.environment, ollamaModel: nil,
        isLocalModelInstalled: directories.contains(where: LocalModelFiles.isInstalled)))
    return HealthCheck(
      "providers", choice.options.kind == .extractive ? .warn : .ok,
      "chosen at the start: an Ollama if one answers, else \(choice.options.name), "
        + "because \(choice.reason)",
      remedy: choice.options.kind == .extractive
        ? "set OPENAI_API_KEY, start an Ollama, or run `make model`" : nil)
  }

  private var localModel: HealthCheck {
    guard let directory = directories.first(where: LocalModelFiles.isInstalled) else {
      let isWanted = loaded.node.providers.contains { $0.kind == "local" }
      return HealthCheck(
        "local model", isWanted ? .fail : .ok,
        "not installed in \(directories.joined(separator: " or "))", remedy: "make model")
    }
    return HealthCheck("local model", .ok, "\(LocalModelFiles.model) in \(directory)")
  }

  private var embedder: HealthCheck {
    let setting = loaded.node.memory.embedder
    let source = EmbedderSource(setting: setting, modelDirectories: directories)
    switch source.map({ ($0.choice, $0.weights) }) {
    case (.staticWeights, nil)?:
      return HealthCheck(
        "embedder", .fail, "static weights are wanted and not installed", remedy: "make model")
    case (.automatic, nil)?:
      return HealthCheck(
        "embedder", .warn, "feature hashing: finds words, not meanings", remedy: "make model")
    case (.automatic, let files?)?, (.staticWeights, let files?)?:
      return HealthCheck("embedder", .ok, "static weights: \(files.weights)")
    default: return HealthCheck("embedder", .ok, setting)
    }
  }

  private var keys: HealthCheck {
    let present = Self.keyNames.filter { loaded.environment[$0].map { !$0.isEmpty } ?? false }
    let configured = loaded.node.providers.filter { $0.apiKey != nil }.map {
      "api_key of \($0.name)"
    }
    let all = present + configured
    return HealthCheck("keys", .ok, all.isEmpty ? "none" : all.joined(separator: ", "))
  }
}
