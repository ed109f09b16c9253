/// Arithmetic on paths' text; nothing is looked up.
enum Path {
  /// Everything before the last component; `/` for a top folder, `.` for a bare name.
  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The last component.
  static func name(of path: String) -> String {
    let trimmed = path.count > 1 && path.last == "/" ? path.dropLast() : path[...]
    guard let slash = trimmed.lastIndex(of: "/") else { return String(trimmed) }
    return String(trimmed[trimmed.index(after: slash)...])
  }

  static func absolute(_ path: String, in directory: String) -> String {
    if path.hasPrefix("/") { return path }
    return join(directory, path)
  }

  static func join(_ directory: String, _ name: String) -> String {
    directory.hasSuffix("/") ? directory + name : directory + "/" + name
  }
}
