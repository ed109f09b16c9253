package import Events

/// A pack as it was read: what turns need, and the knowledge to index.
package struct LoadedPack: Sendable {
  package var personality: Personality
  /// By path; empty for a pack without knowledge.
  package var documents: [Personality.Document]
}

/// Reads a pack's folder, synchronously: before the loop starts, or on a side thread.
package enum PackLoader {
  /// A system prompt goes into every call.
  static let systemPromptBytesMax = 64 << 10
  /// A document of `knowledge/`.
  static let documentBytesMax = 4 << 20
  static let documentsMax = 5_000
  static let manifestName = "manifest.yaml"

  /// `shownAs` is the folder's name in messages. The failure has everything that is wrong.
  package static func load(_ path: String, shownAs name: String) throws(PackFailure) -> LoadedPack {
    let folder: PackFolder
    do throws(PackFolder.Failure) {
      folder = try PackFolder(reading: path)
    } catch {
      let file = error.path.isEmpty ? name : "\(name)/\(error.path)"
      throw PackFailure([PackIssue(file: file, line: 0, key: "", text: error.reason)])
    }
    let manifestFile = "\(name)/\(manifestName)"
    guard let source = folder.file(manifestName) else {
      throw PackFailure([
        PackIssue(file: manifestFile, line: 0, key: "", text: "missing; a pack begins with one")
      ])
    }
    var validator = ManifestValidator(file: manifestFile, folder: folder)
    do throws(PackIssue) {
      validator.validate(try ManifestParser.parse(source.bytes, file: manifestFile))
    } catch {
      throw PackFailure([error])
    }
    var contents = PackContents(folder: folder, manifest: validator.manifest, shownAs: name)
    contents.read()
    let issues = validator.issues.sorted { $0.line < $1.line } + contents.issues
    guard issues.isEmpty else { throw PackFailure(issues) }
    return LoadedPack(
      personality: personality(validator.manifest, contents, folder),
      documents: contents.documents)
  }

  private static func personality(
    _ manifest: PackManifest, _ contents: PackContents, _ folder: PackFolder
  ) -> Personality {
    Personality(
      id: manifest.name, version: manifest.version, description: manifest.description,
      digest: folder.digest, directory: folder.directory, planner: manifest.planner,
      systemPrompt: contents.systemPrompt, languageModel: manifest.languageModel,
      tools: manifest.tools, knowledge: contents.documents.isEmpty ? nil : contents.settings,
      historyTokens: manifest.historyTokens)
  }
}

/// The texts a manifest leads to.
struct PackContents {
  private let folder: PackFolder
  private let manifest: PackManifest
  private let name: String
  private(set) var systemPrompt = ""
  private(set) var documents: [Personality.Document] = []
  private(set) var issues: [PackIssue] = []

  init(folder: PackFolder, manifest: PackManifest, shownAs name: String) {
    self.folder = folder
    self.manifest = manifest
    self.name = name
  }

  /// A `knowledge/` folder counts with or without the manifest's key.
  var settings: Personality.KnowledgeSettings { manifest.knowledge ?? .init() }

  mutating func read() {
    if let file = folder.file(manifest.systemPrompt) {
      systemPrompt = text(of: file, limit: PackLoader.systemPromptBytesMax) ?? ""
      if systemPrompt.allSatisfy(\.isWhitespace), issues.isEmpty {
        report(file.path, "empty; expected the system prompt")
      }
    }
    let prefix = "knowledge/"
    let patterns = manifest.include.compactMap(PathPattern.init)
    for file in folder.files where file.path.hasPrefix(prefix) {
      let path = String(file.path.dropFirst(prefix.count))
      guard patterns.contains(where: { $0.matches(path) }) else { continue }
      guard documents.count < PackLoader.documentsMax else {
        report(file.path, "one of more than \(PackLoader.documentsMax) documents; expected fewer")
        break
      }
      guard let text = text(of: file, limit: PackLoader.documentBytesMax) else { continue }
      documents.append(Personality.Document(path: path, text: text))
    }
    if manifest.knowledge != nil, documents.isEmpty, issues.isEmpty {
      let patterns = manifest.include.joined(separator: ", ")
      report("knowledge", "no document matches \(patterns); expected at least one")
    }
  }

  private mutating func text(of file: PackFolder.File, limit: Int) -> String? {
    guard file.bytes.count <= limit else {
      report(file.path, "\(file.bytes.count) bytes; expected at most \(limit)")
      return nil
    }
    guard let text = String(validating: file.bytes, as: UTF8.self) else {
      report(file.path, "not UTF-8; expected a text")
      return nil
    }
    return text
  }

  private mutating func report(_ path: String, _ text: String) {
    issues.append(PackIssue(file: "\(name)/\(path)", line: 0, key: "", text: text))
  }
}
