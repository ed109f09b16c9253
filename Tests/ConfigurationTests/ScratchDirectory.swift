import Base
import Configuration
import Glibc

/// A directory of a test's own, removed with its last reference.
final class ScratchDirectory {
  let path: String

  init() {
    var template = Array("/tmp/kfm-configuration-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary directory")
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { remove(path) }

  func write(_ text: String, to name: String) { write(Array(text.utf8), to: name) }

  func write(_ bytes: [UInt8], to name: String) {
    guard let file = fopen("\(path)/\(name)", "w") else {
      preconditionFailure("cannot write \(name)")
    }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }

  func makeDirectory(_ name: String) { mkdir("\(path)/\(name)", 0o755) }

  /// Inputs of a machine that has nothing but this directory.
  func inputs(_ environment: [String: String] = [:], flags: [ConfigFlag] = []) -> ConfigInputs {
    ConfigInputs(
      environment: environment, workingDirectory: path, hostName: "host-1",
      installPrefix: "/opt/kfm", flags: flags)
  }

  private func remove(_ path: String) {
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
          String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { remove("\(path)/\(name)") }
      }
      closedir(directory)
      rmdir(path)
    } else {
      unlink(path)
    }
  }
}

/// The issues of `config.toml` with this text, one line each.
func issues(
  _ text: String, environment: [String: String] = [:], in scratch: ScratchDirectory = .init()
) -> [String] {
  scratch.write(text, to: "config.toml")
  do throws(ConfigFailure) {
    _ = try ConfigLoader(scratch.inputs(environment)).load()
    return []
  } catch {
    return error.issues.map(\.description)
  }
}
