import COpenSSL
import Glibc
import HTTP

/// What this program was made from.
enum BuildInfo {
  static let version = "0.1.0"

  /// The compiler's release; a program cannot ask it for more.
  static var swift: String {
    #if compiler(>=6.4)
      "6.4 or later"
    #elseif compiler(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }

  /// Written when the program was installed or built; a binary that was copied alone has none.
  static func commit(executable: String) -> String {
    let folder = Path.directory(of: executable)
    let places = ["\(folder)/COMMIT", "\(Path.directory(of: folder))/share/kfm/commit"]
    for place in places {
      guard let text = TextFile.read(place, limit: 128) else { continue }
      let word = text.prefix { $0.isHexDigit }
      if word.count >= 7 { return String(word) }
    }
    return "unknown"
  }

  /// C libraries in this process by name: the version each reports of itself, else the one in its
  /// file's name.
  static func libraries() -> [(name: String, version: String)] {
    var versions = [
      "libcurl": word(CurlTransport.libraryVersion, after: "libcurl/"),
      "openssl": Self.word(String(cString: kfm_openssl_version()), after: "OpenSSL "),
      "glibc": glibcVersion,
    ]
    let maps = TextFile.read("/proc/self/maps", limit: 4 << 20) ?? ""
    for name in ["liburing", "libyaml", "libxxhash", "libstdc++"] {
      versions[name] = fileVersion(of: name, in: maps) ?? "linked statically"
    }
    return versions.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// `libyaml-0.so.2.0.9` → `2.0.9`
  static func fileVersion(of library: String, in maps: String) -> String? {
    for line in maps.split(separator: "\n") {
      guard let slash = line.lastIndex(of: "/") else { continue }
      let file = line[line.index(after: slash)...]
      guard file.hasPrefix(library), let mark = file.firstRange(of: ".so.") else { continue }
      return String(file[mark.upperBound...])
    }
    return nil
  }

  private static var glibcVersion: String {
    var buffer = [CChar](repeating: 0, count: 64)
    guard confstr(Int32(_CS_GNU_LIBC_VERSION), &buffer, buffer.count) > 0 else { return "unknown" }
    let text = String(
      decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return word(text, after: "glibc ")
  }

  private static func word(_ text: String, after prefix: String) -> String {
    guard let found = text.firstRange(of: prefix) else { return text }
    return String(text[found.upperBound...].prefix { $0 != " " })
  }
}
