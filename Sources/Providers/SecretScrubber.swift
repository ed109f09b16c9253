/// Removes what looks like a credential from a vendor's words before they are kept or shown
/// (SURFACE: "a vendor's own text is kept in `message` with anything that looks like a key
/// removed"). It errs on the side of removing.
package struct SecretScrubber: Sendable {
  package static let mark = "[removed]"
  /// Bytes of a vendor's text that are looked at and kept.
  package static let textBytesMax = 1_000

  /// Beginnings that vendors give their keys.
  private static let prefixes = [
    "sk-", "sk_", "pk-", "pk_", "rk_", "gsk_", "xai-", "hf_", "AIza", "AKIA", "ghp_", "gho_",
    "github_pat_", "glpat-", "xoxb-", "xoxp-", "eyJ", "Bearer", "nvapi-", "r8_", "tgp_",
  ]
  /// A run of letters and digits of this length is a key of Azure's kind (32 hexadecimal digits).
  private static let runLengthMax = 31
  /// A shorter run that mixes cases and digits is one too: words do not.
  private static let mixedRunLengthMax = 23

  /// Values that are known to be secret: the configured keys.
  private let secrets: [String]

  package init(secrets: [String] = []) {
    // A "key" of three letters would blank out words.
    self.secrets = secrets.filter { $0.utf8.count >= 4 }.sorted { $0.count > $1.count }
  }

  package func scrub(_ text: String) -> String {
    var text = text
    for secret in secrets { text = replacing(secret, in: text) }
    var out = ""
    var word = ""
    var removesNext = false
    for scalar in text.unicodeScalars {
      if Self.isWordScalar(scalar) {
        word.unicodeScalars.append(scalar)
        continue
      }
      append(word, to: &out, removesNext: &removesNext)
      word = ""
      out.unicodeScalars.append(scalar)
    }
    append(word, to: &out, removesNext: &removesNext)
    return Self.truncated(out)
  }

  private func append(_ word: String, to out: inout String, removesNext: inout Bool) {
    guard !word.isEmpty else { return }
    let names = ["bearer", "basic", "token", "authorization"]
    if removesNext, !names.contains(word.lowercased()) {
      out += Self.mark
      removesNext = false
      return
    }
    let lowered = word.lowercased()
    removesNext = lowered == "bearer" || lowered == "authorization"
    out += !removesNext && looksLikeKey(word) ? Self.mark : word
  }

  private func looksLikeKey(_ word: String) -> Bool {
    if Self.prefixes.contains(where: { word.hasPrefix($0) && word.count > $0.count + 3 }) {
      return true
    }
    // `key=VALUE` and `?api_key=VALUE` arrive as one word.
    if let equals = word.firstIndex(of: "="), word[..<equals].lowercased().hasSuffix("key"),
      word.distance(from: equals, to: word.endIndex) > 4
    {
      return true
    }
    if let equals = word.firstIndex(of: "="), equals != word.startIndex {
      let value = String(word[word.index(after: equals)...])
      if !value.isEmpty, value != word, looksLikeKey(value) { return true }
    }
    return word.split(whereSeparator: { "-./+=*~".contains($0) }).contains(where: isKeyRun)
  }

  private func isKeyRun(_ run: Substring) -> Bool {
    let hasDigit = run.contains { $0.isASCII && $0.isNumber }
    let hasUpper = run.contains { $0.isASCII && $0.isUppercase }
    let hasLower = run.contains { $0.isASCII && $0.isLowercase }
    if run.utf8.count > Self.runLengthMax { return hasDigit && (hasUpper || hasLower) }
    return run.utf8.count > Self.mixedRunLengthMax && hasDigit && hasUpper && hasLower
  }

  private func replacing(_ secret: String, in text: String) -> String {
    let pattern = Array(secret.utf8)
    let bytes = Array(text.utf8)
    guard bytes.count >= pattern.count else { return text }
    var out: [UInt8] = []
    var at = 0
    while at < bytes.count {
      if at + pattern.count <= bytes.count, bytes[at..<at + pattern.count].elementsEqual(pattern) {
        out.append(contentsOf: Self.mark.utf8)
        at += pattern.count
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func isWordScalar(_ scalar: UnicodeScalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-", ".", "~", "+", "/", "=", "*": true
    default: false
    }
  }

  /// At most `textBytesMax` bytes, cut between characters.
  private static func truncated(_ text: String) -> String {
    guard text.utf8.count > textBytesMax else { return text }
    var out = ""
    var count = 0
    for character in text {
      count += character.utf8.count
      guard count <= textBytesMax else { break }
      out.append(character)
    }
    return out + "…"
  }
}
