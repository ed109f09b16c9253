import Glibc

/// A directory of its own for a test, removed with all it holds afterwards.
final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array("/tmp/kfm-log-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Unusable() }
    path = template.withUnsafeBytes { String(decoding: $0.dropLast(), as: UTF8.self) }
  }

  struct Unusable: Error {}

  deinit { Self.removeTree(path) }

  private static func removeTree(_ path: String) {
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
          String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { removeTree("\(path)/\(name)") }
      }
      closedir(directory)
    }
    remove(path)
  }
}
