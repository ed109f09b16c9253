import Foundation

/// A text file of the repository, named by its path from the root.
struct SourceFile: Sendable {
  var path: String
  var text: String

  var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

  /// `Engine` for `Sources/Engine/Turn/Turn.swift`.
  var module: String? {
    let parts = path.split(separator: "/")
    return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
  }

  var name: Substring { path.split(separator: "/").last ?? "" }
}

/// One place where a house rule is broken.
struct Finding: Hashable, Sendable, CustomStringConvertible {
  var path: String
  /// Counted from 1; 0 when the whole file is meant.
  var line: Int
  var message: String

  var description: String { line == 0 ? "\(path): \(message)" : "\(path):\(line): \(message)" }
}

/// The checkout that these tests were compiled from.
enum SourceTree {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static let codeFolders = ["Sources", "Tests", "Benchmarks"]

  static func read(_ path: String) -> String? {
    try? String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appending(path: path).path)
  }

  /// Where benchmarks put what they build and install; other people's files, ignored by git.
  static let outputFolder = "out/"

  /// Text files below a folder, by extension, sorted by path.
  static func files(under folder: String, extensions: Set<String>) -> [SourceFile] {
    let start = root.appending(path: folder)
    guard let walk = FileManager.default.enumerator(atPath: start.path) else { return [] }
    let paths = walk.compactMap { $0 as? String }.filter {
      !$0.hasPrefix(outputFolder) && extensions.contains(URL(filePath: $0).pathExtension)
    }
    return paths.sorted().compactMap { path in
      read("\(folder)/\(path)").map { SourceFile(path: "\(folder)/\(path)", text: $0) }
    }
  }

  static func swiftFiles() -> [SourceFile] {
    codeFolders.flatMap { files(under: $0, extensions: ["swift"]) }
  }

  /// The modules of the package are the folders of `Sources`.
  static func modules() -> [String] {
    let start = root.appending(path: "Sources").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: start)) ?? []
    return names.filter { !$0.hasPrefix(".") }.sorted()
  }

  /// What a reader of the project may open: sources, documents, scripts, packs.
  static func allTexts() -> [SourceFile] {
    let extensions: Set<String> = [
      "swift", "c", "h", "cpp", "md", "sh", "py", "toml", "yaml", "json", "modulemap",
    ]
    let folders = codeFolders + ["docs", "scripts", "perf", "personalities", "deploy", "proto"]
    let top = ["README.md", "ARCHITECTURE.md", "LICENSE-NOTES.md", "Makefile", "Package.swift"]
    return folders.flatMap { files(under: $0, extensions: extensions) }
      + (top + ["config.example.toml"]).compactMap { path in
        read(path).map { SourceFile(path: path, text: $0) }
      }
  }
}
