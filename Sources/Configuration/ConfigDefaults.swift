import Glibc

/// Defaults that depend on the machine.
enum ConfigDefaults {
  /// What a browser or curl calls this machine when it talks to itself.
  static let loopbackNames = ["localhost", "127.0.0.1", "[::1]"]

  static func nodeID(_ surroundings: ConfigSurroundings) -> String {
    let name = surroundings.hostName.unicodeScalars.map { scalar in
      ConfigReading.isNameScalar(scalar) ? Character(scalar) : "-"
    }
    return name.isEmpty ? "kfm" : String(name.prefix(ConfigKey.nameMax))
  }

  /// The XDG base directory specification; without a home, the working directory.
  static func dataDirectory(_ surroundings: ConfigSurroundings) -> String {
    let environment = surroundings.environment
    if let data = environment["XDG_DATA_HOME"], data.first == "/" {
      return FilePath.absolute("kfm", in: data)
    }
    if let home = environment["HOME"], home.first == "/" {
      return FilePath.absolute(".local/share/kfm", in: home)
    }
    return FilePath.absolute("kfm-data", in: surroundings.workingDirectory)
  }

  static func packsDirectory(_ surroundings: ConfigSurroundings) -> String {
    let local = FilePath.absolute("personalities", in: surroundings.workingDirectory)
    if FilePath.isDirectory(local) { return local }
    return FilePath.absolute("share/kfm/personalities", in: surroundings.installPrefix)
  }

  static func modelDirectory(_ surroundings: ConfigSurroundings) -> String {
    let local = FilePath.absolute(".models", in: surroundings.workingDirectory)
    if FilePath.isDirectory(local) { return local }
    return surroundings.path("node.data_dir") + "/models"
  }
}

enum FilePath {
  /// `path`, seen from `directory`, without `.`, `..` and doubled slashes. Links are not followed.
  static func absolute(_ path: String, in directory: String) -> String {
    var parts: [Substring] = []
    for part in (path.first == "/" ? path : directory + "/" + path).split(separator: "/") {
      switch part {
      case ".": break
      case "..": _ = parts.popLast()
      default: parts.append(part)
      }
    }
    return "/" + parts.joined(separator: "/")
  }

  static func directory(of path: String) -> String {
    path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Why a file could not be read, in words.
  struct ReadFailure: Error {
    var reason: String
  }

  /// The bytes of a file, at most `limit` of them.
  static func read(_ path: String, limit: Int) throws(ReadFailure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ReadFailure(reason: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw ReadFailure(reason: String(cString: strerror(errno))) }
      guard count > 0 else { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= limit else {
        throw ReadFailure(reason: "longer than \(limit) bytes")
      }
    }
  }
}
