import Testing

/// A rule that finds nothing may be a rule that looks at nothing. Each is given text that breaks
/// it and text that only seems to.
@Suite struct PlantedViolationTests {
  private let table = ModuleTable(
    document: """
      L3  Engine · Memory→Vectors     Broker→Wire
      L2  Events (errors, as Memory sees them) · Vectors
      L1  Base
      L0  CLinux (+ doors: CURing)
      """,
    modules: [
      "Engine", "Memory", "Vectors", "Broker", "Wire", "Events", "Base", "CLinux", "CURing",
    ])

  private func source(_ text: String, in module: String = "Engine") -> SourceFile {
    SourceFile(path: "Sources/\(module)/Planted.swift", text: text)
  }

  @Test func theTableIsRead() {
    #expect(
      table.levels == [
        "Engine": 3, "Memory": 3, "Broker": 3, "Wire": 3, "Events": 2, "Vectors": 2, "Base": 1,
        "CLinux": 0, "CURing": 0,
      ])
    #expect(
      table.arrows == [
        .init(from: "Memory", to: "Vectors"), .init(from: "Broker", to: "Wire"),
      ])
  }

  @Test(arguments: [
    ("Base", "package import Events", 1),
    ("Engine", "import Memory", 1),
    ("Wire", "import Broker", 1),
    ("Engine", "@preconcurrency public import struct Foundation.Date", 1),
    ("Engine", "import Dispatch", 1),
    ("Engine", "package import Events\nimport Base\nimport Glibc", 0),
    ("Broker", "import Wire", 0),
    ("Engine", "// import Memory\nlet text = \"import Memory\"", 0),
  ])
  func anImportUpwards(module: String, text: String, count: Int) {
    #expect(ImportRules.findings(in: source(text, in: module), table: table).count == count)
  }

  @Test func foundationInTheCoreOnly() {
    let text = "import FoundationEssentials"
    #expect(ImportRules.findings(in: source(text, in: "AgentEngine"), table: table).count == 1)
    #expect(ImportRules.findings(in: source(text, in: "Memory"), table: table).isEmpty)
  }

  @Test func longFilesAndLines() {
    let long = String(repeating: "let x = 1\n", count: LengthRules.fileLinesMax)
    #expect(LengthRules.fileLength(source(long + "a\n")).count == 1)
    #expect(LengthRules.fileLength(source(String(long.dropLast()))).isEmpty)
    let wide = String(repeating: "a", count: LengthRules.lineColumnsMax)
    #expect(LengthRules.lineLengths(source("a\n\(wide)a\n")).map(\.line) == [2])
    #expect(LengthRules.lineLengths(source(wide)).isEmpty)
  }

  @Test func longFunctions() {
    func body(_ lines: Int) -> String { String(repeating: "  work()\n", count: lines) }
    let longest = LengthRules.functionLinesMax - 2
    #expect(LengthRules.functionLengths(source("func a() {\n\(body(longest))}\n")).isEmpty)
    let tooLong = "struct S {\n  init(x: Int = { 1 }()) {\n\(body(longest + 1))}\n}\n"
    #expect(LengthRules.functionLengths(source(tooLong)).map(\.line) == [2])
  }

  @Test func functionsAreFoundWithTheirLengths() {
    let text = #"""
      protocol P {
        func none()
        init(y: Int)
      }
      func one() { "}" } // }
      func two(
        a: (Int) -> Void = { _ in }
      ) -> [Int] where Int: P {
        /* } */
        let text = """
          } \(a.map { "}" })
          """
        func inner() {
        }
        self.init()
      }
      """#
    #expect(
      LengthRules.functions(in: text) == [
        .init(name: "one", line: 5, lineCount: 1), .init(name: "two", line: 6, lineCount: 11),
        .init(name: "inner", line: 13, lineCount: 2),
      ])
  }

  @Test(arguments: [
    ("AgentEngine", "  Task { await x() }", 1),
    ("LogBroker", "Task.detached { }", 1),
    ("MemoryService", "try await Task.sleep(for: .seconds(1))", 1),
    ("AgentEngine", "// Task { } would race\nlet a = \"Task {\"", 0),
    ("AgentEngine", "MyTask(1); let clock: any Clock", 0),
    ("HTTP", "clock_gettime(CLOCK_MONOTONIC, &now)", 1),
    ("Gateway", "let clock = SystemClock()", 1),
    ("Commands", "let clock = SystemClock()", 0),
    ("Base", "clock_gettime(CLOCK_MONOTONIC, &now)", 0),
    ("Providers", "let jitter = Double.random(in: 0..<1)", 1),
    ("Providers", "random.unit()", 0),
  ])
  func aBannedCall(module: String, text: String, count: Int) {
    #expect(WordRules.bannedCalls(in: source(text, in: module)).count == count)
  }

  @Test func leftoversPathsAndPlaceholders() {
    #expect(WordRules.leftovers(in: source("a\n// TO" + "DO: later")).map(\.line) == [2])
    #expect(WordRules.machinePaths(in: source("let a = \"/ro" + "ot/x\"")).count == 1)
    #expect(WordRules.testableImports(in: source("@test" + "able import Base")).count == 1)
    #expect(WordRules.emptyFiles(source("// nothing\nimport Base\n")).count == 1)
    #expect(WordRules.emptyFiles(source("let a = 1\n")).isEmpty)
    let placeholder = SourceFile(path: "Sources/Base/Placeholder.swift", text: "enum Nothing {}")
    #expect(WordRules.emptyFiles(placeholder).count == 1)
  }

  @Test func errorPages() {
    let good = """
      # Title
      ## disk_full

      Status: 503 · retryable: yes

      Cause: a

      Remedy: b
      """
    let codes = ["disk_full": DocumentRules.ProblemCode(status: 503, retryable: true)]
    func findings(_ text: String, _ codes: [String: DocumentRules.ProblemCode]) -> Int {
      DocumentRules.errorPage(SourceFile(path: "docs/errors.md", text: text), codes: codes).count
    }
    #expect(findings(good, codes) == 0)
    #expect(findings(good, [:]) == 1, "a section for a code that does not exist")
    #expect(findings("# Title", codes) == 1, "a code without a section")
    #expect(findings(good.replacing("yes", with: "no"), codes) == 1, "the wrong retryability")
    #expect(findings(good.replacing("Remedy", with: "Then"), codes) == 1, "no remedy")
  }

  @Test func deadLinks() {
    let page = SourceFile(path: "docs/a.md", text: "[x](b.md#y) [z](../README.md) [w](https://x)\n")
    let dead = DocumentRules.deadLinks(in: page) { $0 == "README.md" }
    #expect(dead.map(\.line) == [1] && dead[0].message.contains("b.md"))
  }

  @Test func maskingKeepsLinesAndHidesText() {
    let text = "let a = #\"x \"y\" \\(z)\"# // c\n/* d /* e */ f */ let b = \"\\(g(\"h\")) i\"\n"
    let masked = MaskedSwift(text)
    #expect(masked.lines.count == 3)
    for hidden in ["x", "y", "z", "c", "d", "e", "f", "g", "h", "i"] {
      let words = masked.text.split { !$0.isLetter }.map(String.init)
      #expect(!words.contains(hidden), "\(hidden) is visible in \(masked.text)")
    }
    #expect(masked.text.contains("let b"))
  }
}
