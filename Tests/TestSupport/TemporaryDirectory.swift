import Glibc

/// A directory of a test's own, removed with all it holds when the last reference goes.
package final class TemporaryDirectory {
  package let path: String

  /// - Parameter name: says whose it is, should a killed test leave one behind.
  package init(_ name: String = "test") {
    var template = Array("/tmp/kfm-\(name)-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary directory: \(errno)")
    path = template.withUnsafeBytes { String(decoding: $0.dropLast(), as: UTF8.self) }
  }

  deinit { TestFiles.removeTree(path) }

  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// What is in it, sorted.
  package func names() -> [String] { TestFiles.names(path) }

  package func bytes(_ name: String) -> [UInt8] { TestFiles.bytes(file(name)) }

  @discardableResult
  package func write(_ bytes: [UInt8], _ name: String) -> String {
    put(bytes, name, flags: O_WRONLY | O_CREAT | O_TRUNC)
    return file(name)
  }

  /// Writes over a file of the same length: file systems wait for the disk when one is cut first.
  package func overwrite(_ bytes: [UInt8], _ name: String) { put(bytes, name, flags: O_WRONLY) }

  /// Sets one byte of a file that is there.
  package func poke(_ byte: UInt8, at offset: Int, _ name: String) {
    put([byte], name, flags: O_WRONLY, at: offset)
  }

  package func makeDirectory(_ name: String) {
    precondition(mkdir(file(name), 0o755) == 0, "cannot make \(file(name)): \(errno)")
  }

  private func put(_ bytes: [UInt8], _ name: String, flags: Int32, at offset: Int = 0) {
    let descriptor = open(file(name), flags, 0o644)
    precondition(descriptor >= 0, "cannot open \(file(name)): \(errno)")
    defer { close(descriptor) }
    let written = pwrite(descriptor, bytes, bytes.count, off_t(offset))
    precondition(written == bytes.count)
  }
}

/// What tests look at on a disk.
package enum TestFiles {
  /// What is in a directory, sorted; nothing where there is none.
  package static func names(_ directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// A whole file, which has to be there.
  package static func bytes(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    precondition(descriptor >= 0, "cannot open \(path): \(errno)")
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    return [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
      count = read(descriptor, buffer.baseAddress, buffer.count)
      precondition(count == buffer.count, "cannot read \(path)")
    }
  }

  fileprivate static func removeTree(_ path: String) {
    for name in names(path) { removeTree("\(path)/\(name)") }
    remove(path)
  }
}
