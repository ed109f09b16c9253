import Foundation
import Testing

/// The contract: the sources keep the rules that ARCHITECTURE.md states. Each rule is a function
/// over text; that each finds a planted violation is tested in PlantedViolationTests.
@Suite struct HouseRulesTests {
  private static let files = SourceTree.swiftFiles()
  private static let sources = files.filter { $0.module != nil }
  private static let texts = SourceTree.allTexts()

  @Test func theTreeIsThere() {
    #expect(Self.sources.count > 20, "the rules looked at almost nothing")
    #expect(SourceTree.read("ARCHITECTURE.md") != nil)
  }

  @Test func everyModuleStandsInTheTable() throws {
    let document = try #require(SourceTree.read("ARCHITECTURE.md"))
    let table = ModuleTable(document: document, modules: SourceTree.modules())
    #expect(Set(table.levels.keys) == Set(SourceTree.modules()))
  }

  @Test func importsPointDown() throws {
    let document = try #require(SourceTree.read("ARCHITECTURE.md"))
    let table = ModuleTable(document: document, modules: SourceTree.modules())
    expectNone(Self.sources.flatMap { ImportRules.findings(in: $0, table: table) })
  }

  @Test func filesFunctionsAndLinesStayShort() {
    expectNone(Self.files.flatMap(LengthRules.findings(in:)))
  }

  @Test func noBannedCalls() {
    expectNone(Self.sources.flatMap(WordRules.bannedCalls(in:)))
  }

  @Test func noTestableImports() {
    expectNone(Self.files.flatMap(WordRules.testableImports(in:)))
  }

  @Test func nothingLeftUnfinished() {
    expectNone(Self.texts.flatMap(WordRules.leftovers(in:)))
  }

  @Test func noPathsOfOneMachine() {
    expectNone(Self.texts.flatMap(WordRules.machinePaths(in:)))
  }

  @Test func noEmptyFiles() {
    expectNone(Self.files.flatMap(WordRules.emptyFiles(_:)))
  }

  @Test func noPackageDependency() throws {
    let manifest = try #require(SourceTree.read("Package.swift"))
    #expect(!manifest.contains(".package(url:") && !manifest.contains(".package(path:"))
  }

  @Test func everyProblemCodeIsExplained() throws {
    let data = try #require(SourceTree.read("Sources/Events/Schemas/problem-codes.json"))
    let codes = try JSONDecoder().decode(
      [String: DocumentRules.ProblemCode].self, from: Data(data.utf8))
    let page = SourceFile(
      path: "docs/errors.md", text: try #require(SourceTree.read("docs/errors.md")))
    expectNone(DocumentRules.errorPage(page, codes: codes))
  }

  @Test func linksLeadSomewhere() {
    let pages = Self.texts.filter { $0.path.hasSuffix(".md") }
    expectNone(pages.flatMap { DocumentRules.deadLinks(in: $0, exists: SourceTree.exists) })
  }

  private func expectNone(
    _ findings: [Finding], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for finding in findings {
      Issue.record("\(finding)", sourceLocation: sourceLocation)
    }
  }
}
