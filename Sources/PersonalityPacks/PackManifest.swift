import Base
import Events

/// A manifest that was understood: every key checked, paths relative to the pack.
struct PackManifest {
  var name = ""
  var version = ""
  var description = ""
  var planner = Personality.Planner.direct
  var systemPrompt = ""
  var languageModel = Personality.LanguageModelSettings()
  var tools: [ToolDefinition] = []
  var knowledge: Personality.KnowledgeSettings?
  /// What counts as knowledge, inside `knowledge/`.
  var include = PackManifest.includeInitial
  var historyTokens: Int?

  static let includeInitial = ["**/*.md", "**/*.txt"]

  static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, (97...122).contains(first), text.utf8.count <= 64 else {
      return false
    }
    return text.utf8.allSatisfy {
      (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-")
    }
  }
}
