/// Swift source with the contents of comments and string literals replaced by spaces, so that a
/// rule that looks for code does not trip over prose. Lines keep their numbers.
struct MaskedSwift {
  private(set) var bytes: [UInt8]

  private var at = 0

  init(_ text: String) {
    bytes = Array(text.utf8)
    while at < bytes.count { maskNext() }
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

  private mutating func maskNext() {
    if starts(with: "//") {
      while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { blank() }
    } else if starts(with: "/*") {
      maskBlockComment()
    } else if let hashes = rawStringHashes() {
      at += hashes
      maskString(hashes: hashes)
    } else {
      at += 1
    }
  }

  private mutating func maskBlockComment() {
    var depth = 0
    while at < bytes.count {
      if starts(with: "/*") {
        depth += 1
        blank(2)
      } else if starts(with: "*/") {
        depth -= 1
        blank(2)
        if depth == 0 { return }
      } else {
        blank()
      }
    }
  }

  /// Number of `#` before a quotation mark that opens a literal here; nil when none does.
  private func rawStringHashes() -> Int? {
    var end = at
    while end < bytes.count, bytes[end] == UInt8(ascii: "#") { end += 1 }
    return end < bytes.count && bytes[end] == UInt8(ascii: "\"") ? end - at : nil
  }

  /// `at` stands on the opening quotation mark.
  private mutating func maskString(hashes: Int) {
    let pounds = String(repeating: "#", count: hashes)
    let quotes = starts(with: "\"\"\"") ? "\"\"\"" : "\""
    let end = quotes + pounds
    let escape = "\\" + pounds
    at += quotes.utf8.count
    while at < bytes.count {
      if starts(with: end) {
        at += end.utf8.count
        return
      } else if starts(with: escape + "(") {
        blank(escape.utf8.count + 1)
        maskInterpolation()
      } else if starts(with: escape) {
        blank(escape.utf8.count + 1)
      } else {
        blank()
      }
    }
  }

  /// Code inside `\( … )` may hold strings and parentheses of its own; all of it is blanked.
  private mutating func maskInterpolation() {
    var depth = 1
    while at < bytes.count, depth > 0 {
      if let hashes = rawStringHashes() {
        blank(hashes)
        let start = at
        maskString(hashes: hashes)
        for index in start..<at where bytes[index] != UInt8(ascii: "\n") {
          bytes[index] = UInt8(ascii: " ")
        }
        continue
      }
      if bytes[at] == UInt8(ascii: "(") { depth += 1 }
      if bytes[at] == UInt8(ascii: ")") { depth -= 1 }
      blank()
    }
  }

  private func starts(with word: String) -> Bool {
    let word = word.utf8
    return at + word.count <= bytes.count && bytes[at..<(at + word.count)].elementsEqual(word)
  }

  private mutating func blank(_ count: Int = 1) {
    for _ in 0..<count where at < bytes.count {
      if bytes[at] != UInt8(ascii: "\n") { bytes[at] = UInt8(ascii: " ") }
      at += 1
    }
  }
}
