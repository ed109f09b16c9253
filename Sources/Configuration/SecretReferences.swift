/// `${NAME}`, `${NAME:-default}` and `${file:PATH}` inside strings. An empty variable counts as
/// unset. `$${` stands for `${`.
struct SecretReferences {
  /// A key or token; more is a mistake.
  static let fileBytesMax = 64 << 10

  /// What is wrong with a reference; names it, never its value.
  struct Failure: Error {
    var reason: String
  }

  let environment: [String: String]
  /// Relative paths start here.
  let directory: String

  /// `text` with its references replaced, and whether it had any.
  func resolve(_ text: String) throws(Failure) -> (text: String, isReplaced: Bool) {
    var out = ""
    var rest = text[...]
    var isReplaced = false
    while let open = rest.firstRange(of: "${") {
      if open.lowerBound > rest.startIndex, rest[rest.index(before: open.lowerBound)] == "$" {
        out += rest[..<open.lowerBound] + "{"
        rest = rest[open.upperBound...]
        continue
      }
      guard let close = rest[open.upperBound...].firstIndex(of: "}") else {
        throw Failure(reason: "a '${' without '}'; expected ${NAME}, or '$${' for the text '${'")
      }
      out += rest[..<open.lowerBound]
      out += try value(of: rest[open.upperBound..<close])
      rest = rest[rest.index(after: close)...]
      isReplaced = true
    }
    return (out + rest, isReplaced)
  }

  private func value(of reference: Substring) throws(Failure) -> String {
    if reference.hasPrefix("file:") { return try contents(of: String(reference.dropFirst(5))) }
    let separator = reference.firstRange(of: ":-")
    let name = String(reference[..<(separator?.lowerBound ?? reference.endIndex)])
    guard Self.isVariableName(name) else {
      throw Failure(
        reason: "${…} holds no variable's name; expected ${NAME}, ${NAME:-default} or ${file:PATH}")
    }
    if let value = environment[name], !value.isEmpty { return value }
    guard let separator else {
      throw Failure(
        reason: "the variable \(name) is not set; expected it in the environment or in .env")
    }
    return String(reference[separator.upperBound...])
  }

  private func contents(of path: String) throws(Failure) -> String {
    let absolute = FilePath.absolute(path, in: directory)
    let bytes: [UInt8]
    do {
      bytes = try FilePath.read(absolute, limit: Self.fileBytesMax)
    } catch {
      throw Failure(reason: "the file \(absolute) cannot be read: \(error.reason)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(reason: "the file \(absolute) is not UTF-8")
    }
    // Editors and `echo` end a file with a newline that is no part of the secret.
    var value = text[...]
    while let last = value.last, last.isNewline { value = value.dropLast() }
    guard !value.isEmpty else { throw Failure(reason: "the file \(absolute) is empty") }
    return String(value)
  }

  static func isVariableName(_ name: some StringProtocol) -> Bool {
    guard let first = name.utf8.first, !(48...57).contains(first) else { return false }
    return name.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
    }
  }
}
