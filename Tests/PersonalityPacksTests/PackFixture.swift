import Base
import Glibc
import PersonalityPacks

/// A folder of packs of a test's own, removed with its last reference.
final class PackFixture {
  let directory: String

  init() {
    var template = Array("/tmp/kfm-packs-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary directory")
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(directory) }

  /// The file's folders are made too.
  func write(_ text: String, to path: String, executable: Bool = false) {
    write(Array(text.utf8), to: path, executable: executable)
  }

  func write(_ bytes: [UInt8], to path: String, executable: Bool = false) {
    var folder = directory
    for part in path.split(separator: "/").dropLast() {
      folder += "/\(part)"
      mkdir(folder, 0o755)
    }
    guard let file = fopen("\(directory)/\(path)", "w") else { preconditionFailure("no \(path)") }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
    chmod("\(directory)/\(path)", executable ? 0o755 : 0o644)
  }

  /// A small good pack, with another manifest where one is given.
  func writePack(_ name: String = "p", manifest: String? = nil) {
    write(manifest ?? Self.manifest(name), to: "\(name)/manifest.yaml")
    write("Be brief.\n", to: "\(name)/prompt.md")
    write("# One\nText.\n", to: "\(name)/knowledge/a.md")
    write("#!/bin/sh\ncat\n", to: "\(name)/tools/echo", executable: true)
  }

  static func manifest(_ name: String) -> String {
    """
    name: \(name)
    version: 1.0.0
    description: "A pack: with a colon"
    planner: react
    system_prompt: prompt.md
    llm: {route: default, temperature: 0.5, max_output_tokens: 100}
    knowledge:
      include:
        - "**/*.md"
      top_k: 3
      min_score: 0.1
    memory:
      history_tokens: 500
    tools:
      - name: echo
        kind: process
        description: >
          Says what
          it was told.
        command: [tools/echo, -n]
        effect: read
        timeout: 5s
        input_schema:
          type: object
          properties:
            text: {type: string, maxLength: 100}
          required: [text]
    """
  }

  func load(_ name: String = "p") throws(PackFailure) -> LoadedPack {
    try PackLoader.load("\(directory)/\(name)", shownAs: name)
  }

  /// The issues of pack `p`, one line each.
  func issues(_ name: String = "p") -> [String] {
    do throws(PackFailure) {
      _ = try load(name)
      return []
    } catch {
      return error.issues.map(\.description)
    }
  }

  static func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      unlink(path)
      return
    }
    if let stream = opendir(path) {
      while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
          String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { remove("\(path)/\(name)") }
      }
      closedir(stream)
    }
    rmdir(path)
  }
}
