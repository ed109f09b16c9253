/// The level table of ARCHITECTURE.md: which module stands above which.
struct ModuleTable {
  struct Arrow: Hashable {
    var from: String
    var to: String
  }

  /// Level of each module; a higher one may import a lower one.
  private(set) var levels: [String: Int] = [:]
  /// Imports between siblings that the table draws as `A→B`.
  private(set) var arrows: Set<Arrow> = []

  /// The table is the code block whose lines begin with `L6`, `L5` … `L0`. A word counts as a
  /// module when it is the name of one; text in parentheses is prose, except on level 0, where
  /// it lists the doors to C libraries.
  init(document: String, modules: [String]) {
    let known = Set(modules)
    for line in document.split(separator: "\n") {
      guard line.count > 3, line.first == "L", let level = line.dropFirst().first?.wholeNumberValue,
        line.dropFirst(2).first == " "
      else { continue }
      let body = level == 0 ? String(line.dropFirst(2)) : Self.withoutParentheses(line.dropFirst(2))

      for word in body.split(whereSeparator: { !Self.isPartOfName($0) }) {
        let names = word.split(separator: "→").map(String.init).filter(known.contains)
        for name in names { levels[name] = min(level, levels[name] ?? level) }
        if names.count == 2 { arrows.insert(Arrow(from: names[0], to: names[1])) }
      }
    }
  }

  private static func isPartOfName(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || character == "→"
  }

  private static func withoutParentheses(_ line: Substring) -> String {
    var depth = 0
    var kept = ""
    for character in line {
      if character == "(" { depth += 1 }
      if depth == 0 { kept.append(character) }
      if character == ")" { depth -= 1 }
    }
    return kept
  }

  func allows(_ importer: String, toImport imported: String) -> Bool {
    guard let upper = levels[importer], let lower = levels[imported] else { return false }
    return lower < upper || arrows.contains(Arrow(from: importer, to: imported))
  }
}

/// What may be imported where.
enum ImportRules {
  /// Modules that stand on the C library and the standard library alone.
  static let core: Set<String> = [
    "Base", "Events", "Observability", "UringIO", "HTTP", "Iggy", "LogBroker", "VectorIndex",
    "AgentEngine", "Simulator",
  ]
  private static let anywhere: Set<String> = ["Glibc", "Synchronization", "Swift"]
  private static let outsideCore: Set<String> = ["FoundationEssentials"]
  private static let modifiers: Set<Substring> = [
    "public", "package", "internal", "fileprivate", "private",
  ]
  private static let kinds: Set<Substring> = [
    "struct", "class", "enum", "protocol", "func", "let", "var", "typealias",
  ]

  /// Names of imported modules with their lines.
  static func imports(of file: SourceFile) -> [(line: Int, module: String)] {
    var found: [(line: Int, module: String)] = []
    for (index, line) in MaskedSwift(file.text).lines.enumerated() where line.contains("import ") {
      var words = line.split(separator: " ")[...]
      while let word = words.first, word.hasPrefix("@") || modifiers.contains(word) {
        words.removeFirst()
      }
      guard words.popFirst() == "import" else { continue }
      if let kind = words.first, kinds.contains(kind) { words.removeFirst() }
      guard let path = words.first, let module = path.split(separator: ".").first else { continue }
      found.append((index + 1, String(module)))
    }
    return found
  }

  static func findings(in file: SourceFile, table: ModuleTable) -> [Finding] {
    guard let importer = file.module else { return [] }
    return imports(of: file).compactMap { line, imported in
      if anywhere.contains(imported) { return nil }
      if outsideCore.contains(imported), !core.contains(importer) { return nil }
      if table.levels[imported] == nil {
        return Finding(
          path: file.path, line: line,
          message: "\(imported) is no module of ARCHITECTURE.md's table and no part of the core's "
            + "short list (Glibc, Synchronization)")
      }
      if table.allows(importer, toImport: imported) { return nil }
      return Finding(
        path: file.path, line: line,
        message: "\(importer) imports \(imported), which does not stand below it in ARCHITECTURE.md"
      )
    }
  }
}
