import Foundation
import Testing

/// The contract: the packs that come with the project are worth imitating. The archivist's
/// documents are real ones, and its tool checks its input strictly and treats "nothing found" as
/// an answer. That it also works inside the jail is for the sandbox's tests.
@Suite struct SamplePackTests {
  private static let archivist = "personalities/archivist"

  @Test func theArchiveHoldsRealDocuments() throws {
    let documents = SourceTree.files(under: "\(Self.archivist)/knowledge", extensions: ["md"])
    #expect(documents.count >= 36)
    for document in documents {
      let words = document.text.split(whereSeparator: \.isWhitespace).count
      #expect((250...600).contains(words), "\(document.path) has \(words) words")
      #expect(document.text.hasPrefix("# "), "\(document.path) has no title")
      let headings = document.lines.count { $0.hasPrefix("## ") }
      #expect(headings >= 2, "\(document.path) has \(headings) headings")
    }
  }

  @Test(arguments: [
    (#"{"text":"fdatasync"}"#, "document"),
    (#"{"text":"FDATASYNC","limit":1}"#, "(first 1 shown)\n"),
    (#" { "limit" : 2 , "text" : "na\u00efve \ud83e\udd8a" } "#, "no match for \"naïve 🦊\"\n"),
    (#"{"text":"2 + 2"}"#, "no match for \"2 + 2\"\n"),
    (#"{"text":"a\\\"/$(id)`id`"}"#, "no match for \"a\\\"/$(id)`id`\"\n"),
  ])
  func theToolAnswers(arguments: String, expected: String) throws {
    let run = try findText(arguments)
    #expect(run.status == 0)
    #expect(run.output.contains(expected))
  }

  @Test func aMatchIsNamedByDocumentAndLine() throws {
    let path = "kfm/why-fdatasync-before-acknowledging.md"
    let title = "# Why a log calls fdatasync before it acknowledges"
    let run = try findText(#"{"text":"why a log calls fdatasync"}"#)
    #expect(run.output == "1 line in 1 document\n\(path):1: \(title)\n")
  }

  @Test(arguments: [
    "", "x", "[]", "{}", "{\"text\":7}", "{\"text\":\"\"}", "{\"text\":\"a\",\"text\":\"b\"}",
    "{\"text\":\"a\",\"more\":1}", "{\"text\":\"a\",}", "{\"text\":\"a\"} {}", "{\"text\":\"a",
    "{\"text\":\"\\ud83e\"}", "{\"text\":\"\\q\"}", "{\"text\":\"a\tb\"}",
    "{\"text\":\"a\",\"limit\":0}", "{\"text\":\"a\",\"limit\":51}",
    "{\"text\":\"a\",\"limit\":1.5}", "{\"text\":\"a\",\"limit\":\"2\"}", "{\"limit\":2}",
    "{\"text\":\"\(String(repeating: "a", count: 801))\"}",
  ])
  func theToolRefuses(arguments: String) throws {
    let run = try findText(arguments)
    #expect(run.status == 2)
    #expect(run.output.isEmpty)
    #expect(run.errors.hasPrefix("find_text: "))
  }

  private struct Run {
    var status: Int32
    var output: String
    var errors: String
  }

  /// As the jail starts it: the pack as working directory, an empty environment.
  private func findText(_ arguments: String) throws -> Run {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["tools/find_text.sh"]
    process.currentDirectoryURL = SourceTree.root.appending(path: Self.archivist)
    process.environment = [:]
    let (input, output, errors) = (Pipe(), Pipe(), Pipe())
    (process.standardInput, process.standardOutput, process.standardError) = (
      input, output, errors
    )
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(arguments.utf8))
    try input.fileHandleForWriting.close()
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    let complaint = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return Run(
      status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
      errors: String(decoding: complaint, as: UTF8.self))
  }
}
