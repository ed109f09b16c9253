/// Rooms that can be overlooked: bounds on files, functions and lines.
enum LengthRules {
  static let fileLinesMax = 900
  static let functionLinesMax = 70
  static let lineColumnsMax = 120

  /// Functions that are one long table, and gain nothing by being cut: `path: name`.
  static let tables: Set<String> = []

  static func findings(in file: SourceFile) -> [Finding] {
    fileLength(file) + lineLengths(file) + functionLengths(file)
  }

  static func fileLength(_ file: SourceFile) -> [Finding] {
    let count = file.lines.count
    guard count > fileLinesMax else { return [] }
    return [
      Finding(
        path: file.path, line: 0,
        message: "\(count) lines; at most \(fileLinesMax), split it by concept")
    ]
  }

  static func lineLengths(_ file: SourceFile) -> [Finding] {
    file.lines.enumerated().compactMap { index, line in
      guard line.count > lineColumnsMax else { return nil }
      return Finding(
        path: file.path, line: index + 1,
        message: "\(line.count) columns; at most \(lineColumnsMax)")
    }
  }

  static func functionLengths(_ file: SourceFile) -> [Finding] {
    functions(in: file.text).compactMap { function in
      guard function.lineCount > functionLinesMax,
        !tables.contains("\(file.path): \(function.name)")
      else { return nil }
      return Finding(
        path: file.path, line: function.line,
        message: "\(function.name) has \(function.lineCount) lines; at most \(functionLinesMax)")
    }
  }

  struct Function: Equatable {
    var name: String
    var line: Int
    /// From the declaration's first line to its closing brace.
    var lineCount: Int
  }

  /// Functions and initialisers with a body, in order of appearance, nested ones included.
  static func functions(in text: String) -> [Function] {
    var scanner = FunctionScanner(MaskedSwift(text).bytes)
    return scanner.functions()
  }
}

/// Finds declarations by keyword and their ends by braces; enough for code that compiles.
private struct FunctionScanner {
  private let bytes: [UInt8]
  private var at = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// What may stand between a declaration without body (in a protocol) and the next thing.
  private static let declarations: Set<String> = [
    "func", "init", "deinit", "var", "let", "case", "typealias", "associatedtype", "subscript",
    "struct", "class", "enum", "extension", "protocol", "import",
  ]

  mutating func functions() -> [LengthRules.Function] {
    var found: [LengthRules.Function] = []
    var line = 1
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "\n") { line += 1 }
      guard let word = wordStarting(at: at) else {
        at += 1
        continue
      }
      let start = at
      at += word.utf8.count
      guard word == "func" || word == "init" || word == "deinit", !follows(".", start) else {
        continue
      }
      if let end = endOfBody(after: at) {
        let name = word == "func" ? nameAfter(at) : word
        let count = bytes[start...end].count { $0 == UInt8(ascii: "\n") } + 1
        found.append(LengthRules.Function(name: name, line: line, lineCount: count))
      }
    }
    return found
  }

  /// Index of the brace that closes the body; nil when the declaration has none.
  private func endOfBody(after start: Int) -> Int? {
    var index = start
    var parentheses = 0
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "("), UInt8(ascii: "["): parentheses += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"): parentheses -= 1
      case UInt8(ascii: "}") where parentheses == 0: return nil
      case UInt8(ascii: "{") where parentheses == 0: return closingBrace(from: index)
      default:
        if parentheses == 0, let word = wordStarting(at: index) {
          if Self.declarations.contains(word) { return nil }
          index += word.utf8.count
          continue
        }
      }
      index += 1
    }
    return nil
  }

  private func closingBrace(from start: Int) -> Int? {
    var depth = 0
    for index in start..<bytes.count {
      if bytes[index] == UInt8(ascii: "{") { depth += 1 }
      if bytes[index] == UInt8(ascii: "}") { depth -= 1 }
      if depth == 0 { return index }
    }
    return nil
  }

  /// A whole identifier that begins here.
  private func wordStarting(at index: Int) -> String? {
    guard isLetter(bytes[index]), index == 0 || !isLetter(bytes[index - 1]) else { return nil }
    var end = index
    while end < bytes.count, isLetter(bytes[end]) { end += 1 }
    return String(decoding: bytes[index..<end], as: UTF8.self)
  }

  private func nameAfter(_ index: Int) -> String {
    var start = index
    while start < bytes.count, bytes[start] == UInt8(ascii: " ") { start += 1 }
    var end = start
    while end < bytes.count, bytes[end] != UInt8(ascii: "("), bytes[end] != UInt8(ascii: "<"),
      bytes[end] != UInt8(ascii: "\n")
    {
      end += 1
    }
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  private func follows(_ character: Unicode.Scalar, _ index: Int) -> Bool {
    index > 0 && bytes[index - 1] == UInt8(ascii: character)
  }

  private func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
      true
    default: false
    }
  }
}
