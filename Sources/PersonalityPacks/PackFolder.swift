import Base
import Glibc

/// A pack's folder on disk, read in one go: what a pack is at this moment.
struct PackFolder {
  /// Files of a pack.
  static let filesMax = 10_000
  /// Bytes of all files: they are read into memory to be hashed.
  static let bytesMax = 64 << 20
  /// Folders inside folders.
  static let depthMax = 16

  struct File {
    /// Inside the pack, with `/`.
    var path: String
    var bytes: [UInt8]
    var isExecutable: Bool
  }

  /// Absolute, without symbolic links.
  let directory: String
  /// The folder's own name, which is the pack's.
  let name: String
  /// Sorted by the bytes of their paths.
  private(set) var files: [File] = []

  /// Why a folder cannot be a pack.
  struct Failure: Error {
    /// Inside the pack; "" is the folder itself.
    var path: String
    var reason: String
  }

  init(reading path: String) throws(Failure) {
    guard let resolved = realpath(path, nil) else {
      throw Failure(path: "", reason: Self.reason(errno))
    }
    defer { free(resolved) }
    directory = String(cString: resolved)
    name = directory.split(separator: "/").last.map(String.init) ?? ""
    var bytes = 0
    try read("", depth: 0, &bytes)
    files.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
  }

  func file(_ path: String) -> File? { files.first { $0.path == path } }

  /// SHA-256 over each file's path, length and the SHA-256 of its content, by path: the pack's
  /// version as the node sees it (SEMANTICS D30).
  var digest: String {
    var bytes: [UInt8] = []
    for file in files {
      bytes += Array(file.path.utf8) + [0]
      withUnsafeBytes(of: UInt64(file.bytes.count).bigEndian) { bytes += $0 }
      bytes += SHA256Digest(of: file.bytes).bytes
    }
    return SHA256Digest(of: bytes).description
  }

  /// Why `path` is not the path of a file of this pack, in words after its name; nil when it is.
  /// Links cannot lead out: a pack has none.
  func reasonNotAFile(_ path: String) -> String? {
    if path.hasPrefix("/") { return "is an absolute path" }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
      return "has '.', '..' or an empty part"
    }
    return file(path) == nil ? "does not exist in the pack" : nil
  }

  func reasonNotExecutable(_ path: String) -> String? {
    file(path)?.isExecutable == true ? nil : "is not executable (chmod +x)"
  }

  // MARK: Reading

  private mutating func read(_ path: String, depth: Int, _ total: inout Int) throws(Failure) {
    guard depth <= Self.depthMax else {
      throw Failure(path: path, reason: "deeper than \(Self.depthMax) folders")
    }
    let absolute = path.isEmpty ? directory : "\(directory)/\(path)"
    guard let stream = opendir(absolute) else {
      throw Failure(path: path, reason: Self.reason(errno))
    }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      guard let name = String(validating: bytes, as: UTF8.self) else {
        throw Failure(path: path, reason: "has a file whose name is not UTF-8")
      }
      // A checkout's history is no part of the pack it is in.
      if name == "." || name == ".." || name == ".git" { continue }
      try readEntry(path.isEmpty ? name : "\(path)/\(name)", depth: depth, &total)
    }
  }

  private mutating func readEntry(_ path: String, depth: Int, _ total: inout Int) throws(Failure) {
    var status = stat()
    guard lstat("\(directory)/\(path)", &status) == 0 else {
      throw Failure(path: path, reason: Self.reason(errno))
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: try read(path, depth: depth + 1, &total)
    case S_IFREG:
      total += Int(status.st_size)
      guard total <= Self.bytesMax else {
        throw Failure(path: path, reason: "makes the pack larger than \(Self.bytesMax) bytes")
      }
      guard files.count < Self.filesMax else {
        throw Failure(path: path, reason: "is one of more than \(Self.filesMax) files")
      }
      files.append(
        File(
          path: path, bytes: try contents(path, count: Int(status.st_size)),
          isExecutable: status.st_mode & 0o111 != 0))
    case S_IFLNK:
      throw Failure(path: path, reason: "is a symbolic link; a pack has files and folders only")
    default:
      throw Failure(path: path, reason: "is no file; a pack has files and folders only")
    }
  }

  /// `count` is what lstat said; a file that changes meanwhile is refused.
  private func contents(_ path: String, count: Int) throws(Failure) -> [UInt8] {
    let descriptor = open("\(directory)/\(path)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { throw Failure(path: path, reason: Self.reason(errno)) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: count + 1)
    var filled = 0
    while filled < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress! + filled, $0.count - filled)
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw Failure(path: path, reason: Self.reason(errno)) }
      if got == 0 { break }
      filled += got
    }
    guard filled == count else {
      throw Failure(path: path, reason: "changed while it was read; load the pack again")
    }
    bytes.removeLast()
    return bytes
  }

  private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
