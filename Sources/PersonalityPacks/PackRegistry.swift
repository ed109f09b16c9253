package import Events
import Glibc

/// The packs of one folder, loaded once. A pack that is wrong is refused; the others serve.
///
/// Lives on one event loop; making it reads files, so it is made before the loop starts.
package final class PackRegistry: PersonalityCatalog {
  /// A node with more has another problem.
  package static let packsMax = 256

  private var packs: [String: LoadedPack] = [:]
  private var idsByDigest: [String: String] = [:]
  /// Everything that was refused: folder's name and why.
  package private(set) var refusals: [(name: String, failure: PackFailure)] = []
  /// `packs.default`; may change while the node runs.
  package var defaultName: String?

  /// `defaultName` is `packs.default`: without it the first by name is the default. Fails only when
  /// the folder as a whole cannot be read.
  package init(directory: String, defaultName: String?) throws(PackFailure) {
    self.defaultName = defaultName
    for name in try Self.folderNames(directory) {
      do throws(PackFailure) {
        let pack = try PackLoader.load("\(directory)/\(name)", shownAs: name)
        packs[pack.personality.id] = pack
        idsByDigest[pack.personality.digest] = pack.personality.id
      } catch {
        refusals.append((name, error))
      }
    }
  }

  package func personality(id: String) -> Personality? { packs[id]?.personality }

  /// The pack at exactly this digest; nil when it has changed or gone (SEMANTICS D30).
  package func personality(digest: String) -> Personality? {
    idsByDigest[digest].flatMap { packs[$0]?.personality }
  }

  /// The knowledge of the pack of that id, by path.
  package func documents(id: String) -> [Personality.Document] { packs[id]?.documents ?? [] }

  /// Nil when no pack serves, or not the one that `packs.default` names.
  package var defaultPersonality: Personality? {
    if let defaultName { return personality(id: defaultName) }
    return packs.keys.min().flatMap { personality(id: $0) }
  }

  /// All packs that serve, by name.
  package var personalities: [Personality] {
    packs.values.map(\.personality).sorted { $0.id < $1.id }
  }

  package func statuses() -> [PersonalityStatus] {
    let good = packs.values.map { pack in
      PersonalityStatus(
        id: pack.personality.id, name: pack.personality.id, version: pack.personality.version,
        description: pack.personality.description, digest: pack.personality.digest)
    }
    let refused = refusals.map { name, failure in
      PersonalityStatus(
        id: name, name: name, version: "", description: "", digest: "",
        refusal: failure.description)
    }
    return (good + refused).sorted { $0.name < $1.name }
  }

  /// Folders that could be packs; files beside them and hidden folders are not meant.
  private static func folderNames(_ directory: String) throws(PackFailure) -> [String] {
    guard let stream = opendir(directory) else {
      let reason = String(cString: strerror(errno))
      throw PackFailure([
        PackIssue(
          file: directory, line: 0, key: "packs.dir", text: "\(reason); expected a folder of packs")
      ])
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      var status = stat()
      guard !name.hasPrefix("."), stat("\(directory)/\(name)", &status) == 0,
        status.st_mode & S_IFMT == S_IFDIR
      else { continue }
      names.append(name)
    }
    guard names.count <= packsMax else {
      throw PackFailure([
        PackIssue(
          file: directory, line: 0, key: "packs.dir",
          text: "\(names.count) folders; expected at most \(packsMax) packs")
      ])
    }
    return names.sorted()
  }
}
