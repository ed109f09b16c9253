import Foundation

enum TestPaths {
  /// The project's folder.
  static let root: String = {
    var path = URL(fileURLWithPath: #filePath)
    for _ in 0..<4 { path.deleteLastPathComponent() }
    return path.path
  }()

  /// `kfm` stands beside the test runner: both are products of one build.
  static let kfm: String = {
    let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let beside = runner.deletingLastPathComponent().appendingPathComponent("kfm").path
    precondition(
      FileManager.default.isExecutableFile(atPath: beside),
      "\(beside) is missing; build it with `swift build`")
    return beside
  }()

  /// Whether what cannot be tested here must be an error.
  static let isCI = ProcessInfo.processInfo.environment["CI"] == "true"

  static func program(_ name: String) -> String? {
    ["/usr/bin/\(name)", "/bin/\(name)", "/usr/local/bin/\(name)"].first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }
}

/// A folder that goes away with the test.
final class TestFolder: Sendable {
  let path: String

  init() throws {
    path = "\(FileManager.default.temporaryDirectory.path)/kfm-node-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func url(_ name: String) -> URL { URL(fileURLWithPath: "\(path)/\(name)") }

  func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: url(name)) }

  func read(_ name: String) -> String {
    (try? Data(contentsOf: url(name))).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}
