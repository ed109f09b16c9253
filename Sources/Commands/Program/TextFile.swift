import Glibc

enum TextFile {
  /// A small file's text; nil when it cannot be read, is longer than `limit` bytes, or not UTF-8.
  static func read(_ path: String, limit: Int) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0, bytes.count + count <= limit else { return nil }
      guard count > 0 else { return String(validating: bytes, as: UTF8.self) }
      bytes.append(contentsOf: piece[..<count])
    }
  }
}
