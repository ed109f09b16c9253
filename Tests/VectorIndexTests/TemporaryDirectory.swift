import Glibc

/// A directory that goes when the test has ended.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/kfm-vector-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("mkdtemp: \(errno)") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    for name in names() {
      unlink(file(name))
      rmdir(file(name))
    }
    rmdir(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func names() -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  func write(_ bytes: [UInt8], _ name: String) {
    let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    defer { close(descriptor) }
    let written = Glibc.write(descriptor, bytes, bytes.count)
    precondition(written == bytes.count)
  }

  /// Writes over a file of the same length: file systems wait for the disk when one is cut first.
  func overwrite(_ bytes: [UInt8], _ name: String) {
    let descriptor = open(file(name), O_WRONLY)
    defer { close(descriptor) }
    let written = pwrite(descriptor, bytes, bytes.count, 0)
    precondition(written == bytes.count)
  }

  /// Sets one byte of a file that is there.
  func poke(_ byte: UInt8, at offset: Int, _ name: String) {
    let descriptor = open(file(name), O_WRONLY)
    defer { close(descriptor) }
    var byte = byte
    let written = pwrite(descriptor, &byte, 1, off_t(offset))
    precondition(written == 1)
  }

  func bytes(_ name: String) -> [UInt8] {
    let descriptor = open(file(name), O_RDONLY)
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    let got = read(descriptor, &bytes, bytes.count)
    precondition(got == bytes.count)
    return bytes
  }
}
