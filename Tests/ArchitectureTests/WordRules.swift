/// Calls and words that have no place in the sources.
enum WordRules {
  struct Ban {
    var word: String
    var instead: String
    /// Modules where the word is banned.
    var applies: @Sendable (String) -> Bool
  }

  /// Modules whose runs a test must be able to repeat exactly.
  private static let repeatable: Set<String> = ["AgentEngine", "LogBroker", "MemoryService"]
  /// Where the real clock is defined and where it is put in; and the two that wait for a point in
  /// time in the kernel: the event loop and the log's writer thread.
  private static let clockOwners: Set<String> = ["Base", "Commands", "UringIO", "Observability"]

  // Words are put together so that this file does not break its own rules.
  static let bans: [Ban] =
    ["Task {", "Task(", "Task.detached", "Task.sleep", "DispatchQueue", "Thread."].map { word in
      Ban(word: word, instead: "state machines driven by the loop", applies: repeatable.contains)
    }
    + ["clock_gettime", "gettimeofday", "time(nil)", "SystemClock()", "ContinuousClock", "Date()"]
    .map { word in
      Ban(word: word, instead: "the clock passed in", applies: { !clockOwners.contains($0) })
    }
    + ["SystemRandomNumberGenerator", ".random(in:", ".randomElement()", ".shuffled()"].map {
      word in
      Ban(word: word, instead: "the random source passed in", applies: { $0 != "Base" })
    }

  static func bannedCalls(in file: SourceFile) -> [Finding] {
    guard let module = file.module else { return [] }
    let applicable = bans.filter { $0.applies(module) }
    var findings: [Finding] = []
    for (index, line) in MaskedSwift(file.text).lines.enumerated() {
      for ban in applicable where holds(line, ban.word) {
        findings.append(
          Finding(
            path: file.path, line: index + 1,
            message: "\(ban.word) is banned in \(module); use \(ban.instead)"))
      }
    }
    return findings
  }

  /// Whether the word stands there as a whole: `MyTask(` and `.date()` are other words.
  private static func holds(_ line: Substring, _ word: String) -> Bool {
    var rest = line[...]
    while let found = rest.firstRange(of: word) {
      let before = line[..<found.lowerBound].last
      if word.hasPrefix(".") || !(before?.isLetter ?? false) && before != "_" { return true }
      rest = rest[found.upperBound...]
    }
    return false
  }

  /// Tests see `package` declarations; the other way needs a build of its own.
  static func testableImports(in file: SourceFile) -> [Finding] {
    lines(of: file, holding: ["@test" + "able"], message: "use package access instead")
  }

  static func leftovers(in file: SourceFile) -> [Finding] {
    let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "not imple" + "mented"]
    return lines(of: file, holding: words, message: "unfinished by its own words")
  }

  /// Nothing may depend on, or tell of, the machine it was written on.
  static func machinePaths(in file: SourceFile) -> [Finding] {
    let words = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "../sha" + "red", "/Us" + "ers/"]
    return lines(of: file, holding: words, message: "a path of one machine")
  }

  private static func lines(
    of file: SourceFile, holding words: [String], message: String
  ) -> [Finding] {
    file.lines.enumerated().compactMap { index, line in
      guard let word = words.first(where: { line.contains($0) }) else { return nil }
      return Finding(path: file.path, line: index + 1, message: "\(word): \(message)")
    }
  }

  /// A file that declares nothing is a leftover of the skeleton.
  static func emptyFiles(_ file: SourceFile) -> [Finding] {
    let code = MaskedSwift(file.text).lines.filter { line in
      !line.allSatisfy(\.isWhitespace) && !line.hasPrefix("import ")
    }
    guard code.isEmpty || file.name.hasPrefix("Placeholder") else { return [] }
    return [Finding(path: file.path, line: 0, message: "declares nothing; remove it")]
  }
}
