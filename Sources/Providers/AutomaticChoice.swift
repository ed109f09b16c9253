package import Base
package import HTTP

/// Without `[[providers]]`, the first that can answer is used (SURFACE, "Configuration").
package struct AutomaticChoice: Equatable {
  /// What is there to choose from.
  package struct Findings {
    package var environment: [String: String]
    /// The first model of an Ollama on this machine.
    package var ollamaModel: String?
    package var isLocalModelInstalled: Bool

    package init(
      environment: [String: String], ollamaModel: String?, isLocalModelInstalled: Bool
    ) {
      self.environment = environment
      self.ollamaModel = ollamaModel
      self.isLocalModelInstalled = isLocalModelInstalled
    }
  }

  /// A model that most keys may use; others need a `[[providers]]` table.
  package static let openAIModel = "gpt-4.1-mini"
  package static let ollamaAddress = "http://127.0.0.1:11434"

  package var options: ProviderOptions
  package var reason: String
  /// Keys that were found and not used, in words.
  package var skipped: [String]

  package static func choose(_ findings: Findings) -> AutomaticChoice {
    let environment = findings.environment
    func key(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    if let key = key("OPENAI_API_KEY") {
      let options = ProviderOptions(
        name: "openai", kind: .openai, baseURL: "https://api.openai.com/v1", apiKey: key,
        models: [openAIModel])
      return AutomaticChoice(options: options, reason: "OPENAI_API_KEY is set", skipped: [])
    }
    let skipped = ["ANTHROPIC_API_KEY", "GEMINI_API_KEY"].filter { key($0) != nil }.map {
      "\($0) is set, but this version has no adapter for it"
    }
    if let model = findings.ollamaModel {
      var options = ProviderOptions(
        name: "ollama", kind: .openai, baseURL: "\(ollamaAddress)/v1", models: [model])
      options.prices = [model: .free]
      return AutomaticChoice(
        options: options, reason: "an Ollama answers on this machine", skipped: skipped)
    }
    if findings.isLocalModelInstalled {
      let options = ProviderOptions(
        name: "local", kind: .local, models: [LocalModelFiles.model])
      return AutomaticChoice(
        options: options, reason: "the local model is installed", skipped: skipped)
    }
    let options = ProviderOptions(
      name: "extractive", kind: .extractive, models: [ExtractiveProvider.model])
    return AutomaticChoice(
      options: options, reason: "no key, no Ollama and no local model were found",
      skipped: skipped)
  }
}

/// Asks an Ollama on this machine for its models.
package enum OllamaProbe {
  /// Nobody waits longer for an Ollama that is not there.
  package static let timeout = Nanoseconds.milliseconds(300)
  private static let bodyBytesMax = 1 << 20

  /// Calls `completion` once with the first model's name; nil without an Ollama, or without a
  /// model in it.
  package static func firstModel(
    transport: any HTTPTransport, completion: @escaping (String?) -> Void
  ) {
    var request = HTTPClientRequest(url: "\(AutomaticChoice.ollamaAddress)/api/tags")
    request.timeouts.connect = timeout
    request.timeouts.firstByte = timeout
    request.timeouts.idle = timeout
    request.timeouts.total = timeout
    var isOK = false
    var body: [UInt8] = []
    transport.start(
      request,
      HTTPResponseEvents(
        onHead: { status, _ in isOK = status == 200 },
        onBody: { bytes in body.append(contentsOf: bytes.prefix(bodyBytesMax - body.count)) },
        onEnd: { _ in completion(isOK ? firstModel(in: body) : nil) }))
  }

  static func firstModel(in body: [UInt8]) -> String? {
    guard let json = try? JSON(parsing: body) else { return nil }
    let models = json["models"]?.array ?? []
    return models.first { !isEmbedder($0) }?["name"]?.string
  }

  /// Embedding models are listed like the others and cannot chat.
  private static func isEmbedder(_ model: JSON) -> Bool {
    let family = model["details"]?["family"]?.string ?? ""
    return family.contains("bert") || model["name"]?.string?.contains("embed") == true
  }
}
