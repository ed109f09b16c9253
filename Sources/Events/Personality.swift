package import Base

/// One validated personality pack at one digest; a turn sees one from start to end (SEMANTICS D30).
package struct Personality: Sendable {
  package enum Planner: String, Sendable { case direct, react }

  package struct LanguageModelSettings: Sendable {
    package var route: String
    package var temperature: Double?
    package var maxOutputTokens: Int?

    package init(route: String = "default", temperature: Double? = nil, maxOutputTokens: Int? = nil)
    {
      self.route = route
      self.temperature = temperature
      self.maxOutputTokens = maxOutputTokens
    }
  }

  package struct KnowledgeSettings: Sendable, Hashable {
    package var topK: Int
    /// Cosine similarity below which a passage is left out.
    package var minScore: Double
    package var chunkTokens: Int

    package init(topK: Int = 4, minScore: Double = 0, chunkTokens: Int = 200) {
      self.topK = topK
      self.minScore = minScore
      self.chunkTokens = chunkTokens
    }
  }

  /// A document of `knowledge/`: its path inside that folder, and its text.
  package struct Document: Sendable, Hashable {
    package var path: String
    package var text: String

    package init(path: String, text: String) {
      self.path = path
      self.text = text
    }
  }

  package var id: String
  package var version: String
  package var description: String
  /// SHA-256 over the pack's files, 64 hexadecimal digits.
  package var digest: String
  /// Absolute path of the pack's folder.
  package var directory: String
  package var planner: Planner
  package var systemPrompt: String
  package var languageModel: LanguageModelSettings
  package var tools: [ToolDefinition]
  /// Nil when the pack has no knowledge.
  package var knowledge: KnowledgeSettings?
  /// Tokens of history in a prompt; nil takes the node's setting.
  package var historyTokens: Int?

  package init(
    id: String, version: String, description: String, digest: String, directory: String,
    planner: Planner, systemPrompt: String, languageModel: LanguageModelSettings = .init(),
    tools: [ToolDefinition] = [], knowledge: KnowledgeSettings? = nil, historyTokens: Int? = nil
  ) {
    self.id = id
    self.version = version
    self.description = description
    self.digest = digest
    self.directory = directory
    self.planner = planner
    self.systemPrompt = systemPrompt
    self.languageModel = languageModel
    self.tools = tools
    self.knowledge = knowledge
    self.historyTokens = historyTokens
  }
}

package struct ToolDefinition: Sendable, Hashable {
  /// SEMANTICS D14.
  package enum Effect: String, Sendable { case read, idempotent, effectful }

  package var name: String
  package var description: String
  /// Program and arguments, started in the jail with the pack at `/pack`.
  package var command: [String]
  package var inputSchema: JSON
  package var effect: Effect
  package var timeout: Nanoseconds?

  package init(
    name: String, description: String, command: [String], inputSchema: JSON, effect: Effect,
    timeout: Nanoseconds?
  ) {
    self.name = name
    self.description = description
    self.command = command
    self.inputSchema = inputSchema
    self.effect = effect
    self.timeout = timeout
  }
}

/// A row of `GET /v1/personalities` and `kfm packs list`.
package struct PersonalityStatus: Sendable {
  package var id: String
  package var name: String
  package var version: String
  package var description: String
  package var digest: String
  /// Why the pack is refused, with file and line; nil when it serves.
  package var refusal: String?

  package init(
    id: String, name: String, version: String, description: String, digest: String,
    refusal: String? = nil
  ) {
    self.id = id
    self.name = name
    self.version = version
    self.description = description
    self.digest = digest
    self.refusal = refusal
  }
}

/// The packs a node serves.
package protocol PersonalityCatalog: AnyObject {
  /// The pack of that id; nil when there is none that serves.
  func personality(id: String) -> Personality?
  /// The pack a turn gets that names none.
  var defaultPersonality: Personality? { get }
  /// All packs by name, refused ones too.
  func statuses() -> [PersonalityStatus]
}
