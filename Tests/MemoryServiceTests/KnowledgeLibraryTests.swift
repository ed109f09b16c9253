import Events
import Glibc
import MemoryService
import Synchronization
import TestSupport
import Testing

// Contract (SEMANTICS D31): an index is built once and then loaded without reading a document; one
// of another embedder, cut or pack stands beside it; a damaged one is built anew; what a crash
// leaves behind never hides a good index. Cannot disprove: what a disk does after fsync.

@Suite struct KnowledgeLibraryTests {
  private let directory = TemporaryDirectory("memory")

  private func library(_ name: String = "index") -> KnowledgeLibrary {
    KnowledgeLibrary(
      directory: directory.file(name), embedder: .init(choice: .hash, modelDirectories: []))
  }

  private static let unread = { @Sendable () -> [Personality.Document] in
    Issue.record("documents were read though there is an index")
    return []
  }

  private func answer(_ index: KnowledgeIndex) throws -> [Passage] {
    try index.passages(for: "fdatasync of a log", settings: .init())
  }

  @Test func builtOnceThenLoaded() throws {
    let built = try library("a/b").open(SampleKnowledge.source())
    #expect(built.origin == .built)
    #expect(built.chunks.count == SampleKnowledge.documents.count)
    let loaded = try library("a/b").open(
      KnowledgeSource(packDigest: "d1", chunkTokens: 200, documents: Self.unread))
    #expect(loaded.origin == .loaded)
    #expect(loaded.chunks == built.chunks)
    #expect(try answer(loaded) == answer(built))
    #expect(TestFiles.names(directory.file("a/b")).count == 1)
  }

  @Test func anotherCutOrPackIsAnotherIndex() throws {
    let library = library()
    let first = try library.open(SampleKnowledge.source())
    #expect(try library.open(SampleKnowledge.source(chunkTokens: 40)).origin == .built)
    #expect(try library.open(SampleKnowledge.source("d2")).origin == .built)
    #expect(TestFiles.names(directory.file("index")).count == 3)
    #expect(first.name.directoryName.hasPrefix("d1-"))
    #expect(library.prune(keeping: ["d1"]) == 1)
    #expect(TestFiles.names(directory.file("index")).count == 2)
    #expect(try library.open(SampleKnowledge.source()).origin == .loaded)
  }

  @Test func theOrderOfDocumentsDoesNotCount() throws {
    let reversed = KnowledgeSource(packDigest: "d1", chunkTokens: 200) {
      SampleKnowledge.documents.reversed()
    }
    let first = try library("a").open(SampleKnowledge.source())
    let second = try library("b").open(reversed)
    let path = { (name: String) in
      directory.file("\(name)/\(first.name.directoryName)/vectors.hnsw")
    }
    #expect(second.chunks == first.chunks)
    #expect(TestFiles.bytes(path("a")) == TestFiles.bytes(path("b")))
  }

  @Test(arguments: ["manifest.json", "chunks.bin", "vectors.hnsw"])
  func damageIsBuiltAnew(_ name: String) throws {
    let built = try library().open(SampleKnowledge.source())
    let file = "index/\(built.name.directoryName)/\(name)"
    let good = TestFiles.bytes(directory.file(file))
    let bad: [[UInt8]] = [
      [], Array(good.dropLast()), good + [0],
      good.enumerated().map { $0.offset == good.count / 2 ? $0.element ^ 0x10 : $0.element },
    ]
    for bytes in bad {
      directory.write(bytes, file)
      let again = try library().open(SampleKnowledge.source())
      guard case .rebuilt = again.origin else {
        Issue.record("\(name) of \(bytes.count) bytes: \(again.origin)")
        continue
      }
      #expect(try answer(again) == answer(built))
      #expect(TestFiles.bytes(directory.file(file)) == good)
    }
    unlink(directory.file(file))
    _ = try library().open(SampleKnowledge.source())
    #expect(TestFiles.bytes(directory.file(file)) == good)
    #expect(TestFiles.names(directory.file("index")).count == 1)
  }

  /// A crash while an index was written leaves a directory aside.
  @Test func leftoversAreHarmless() throws {
    let built = try library().open(SampleKnowledge.source())
    let aside = "index/.aside-\(built.name.directoryName)"
    mkdir(directory.file(aside), 0o755)
    directory.write([1, 2, 3], "\(aside)/chunks.bin")
    mkdir(directory.file("index/not-ours"), 0o755)
    #expect(try library().open(SampleKnowledge.source()).origin == .loaded)
    directory.write([], "index/\(built.name.directoryName)/chunks.bin")
    _ = try library().open(SampleKnowledge.source())
    #expect(try library().open(SampleKnowledge.source()).origin == .loaded)
    mkdir(directory.file(aside), 0o755)
    #expect(library().prune(keeping: ["d1"]) == 1)
    #expect(
      TestFiles.names(directory.file("index")) == [
        built.name.directoryName, "not-ours",
      ])
  }

  @Test func anIndexThatCannotBeWrittenServes() throws {
    directory.write([1], "file")
    let index = try library("file/index").open(SampleKnowledge.source())
    guard case .unsaved = index.origin else {
      Issue.record("\(index.origin)")
      return
    }
    #expect(try answer(index).first?.document == "durability.md")
  }

  @Test func limitsAreEnforced() throws {
    let huge = KnowledgeSource(packDigest: "d", chunkTokens: 200) {
      [.init(path: "a", text: String(repeating: " ", count: KnowledgeLimits.bytesMax + 1))]
    }
    #expect(
      throws: MemoryError.knowledgeTooLarge(
        what: "bytes", actual: KnowledgeLimits.bytesMax + 1, limit: KnowledgeLimits.bytesMax)
    ) { try library().open(huge) }
    let none = KnowledgeSource(packDigest: "e", chunkTokens: 200) { [] }
    #expect(try library().open(none).chunks.isEmpty)
    #expect(try library().open(none).origin == .loaded)
  }

  @Test func missingWeightsSayWhatToDo() {
    let library = KnowledgeLibrary(
      directory: directory.path,
      embedder: .init(choice: .staticWeights, modelDirectories: ["/nonexistent"]))
    #expect {
      try library.open(SampleKnowledge.source())
    } throws: { "\($0)".contains("make model") }
  }
}
