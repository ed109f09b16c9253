// Contract: a broken pack is refused with file and line while the others serve; the default is the
// configured one or the first by name; what `packs new` makes loads.
import Events
import Glibc
import PersonalityPacks
import Testing

@Suite struct PackRegistryTests {
  let packs = PackFixture()

  private func registry(_ defaultName: String? = nil) throws -> PackRegistry {
    try PackRegistry(directory: packs.directory, defaultName: defaultName)
  }

  @Test func aBrokenPackDoesNotStopTheOthers() throws {
    packs.writePack("beta")
    packs.writePack("alpha")
    packs.write("name: broken\nversion: [1\n", to: "broken/manifest.yaml")
    packs.write("x", to: "empty/readme")
    packs.write("not a pack", to: "README.md")
    packs.write("x", to: ".hidden/manifest.yaml")
    let registry = try registry()
    #expect(registry.personalities.map(\.id) == ["alpha", "beta"])
    #expect(registry.defaultPersonality?.id == "alpha")
    let statuses = registry.statuses()
    #expect(statuses.map(\.name) == ["alpha", "beta", "broken", "empty"])
    #expect(statuses.map { $0.refusal == nil } == [true, true, false, false])
    #expect(statuses[2].refusal?.hasPrefix("broken/manifest.yaml:3: not YAML: ") == true)
    #expect(statuses[3].refusal == "empty/manifest.yaml: missing; a pack begins with one")
    #expect(registry.refusals.map(\.name) == ["broken", "empty"])
    #expect(registry.personality(id: "broken") == nil)
    #expect(registry.documents(id: "alpha").map(\.path) == ["a.md"])
    #expect(registry.documents(id: "broken").isEmpty)
  }

  @Test func packsAreFoundByDigest() throws {
    packs.writePack("alpha")
    packs.writePack("beta")
    let registry = try registry()
    let digest = try #require(registry.personality(id: "beta")?.digest)
    #expect(registry.personality(digest: digest)?.id == "beta")
    #expect(registry.personality(digest: String(repeating: "0", count: 64)) == nil)
  }

  @Test func theConfiguredDefaultIsTakenOrNone() throws {
    packs.writePack("alpha")
    packs.writePack("beta")
    #expect(try registry("beta").defaultPersonality?.id == "beta")
    #expect(try registry("gone").defaultPersonality == nil)
  }

  @Test func aFolderThatIsNotThereIsAFailure() {
    #expect { try PackRegistry(directory: "/none/here", defaultName: nil) } throws: { error in
      "\(error)" == "/none/here: packs.dir: No such file or directory; expected a folder of packs"
    }
  }

  @Test func aNewPackWorksAsItStands() throws {
    let folder = packs.directory + "/made"
    let path = try PackScaffold.create("mine", in: folder)
    #expect(path == folder + "/mine")
    let pack = try PackLoader.load(path, shownAs: "mine")
    #expect(pack.personality.id == "mine")
    #expect(pack.documents.map(\.path) == ["about.md"])
    // What it has commented out is right as well.
    packs.write("#!/bin/sh\nwc -w\n", to: "made/mine/tools/word-count", executable: true)
    let manifest = try String(
      decoding: #require(read(path + "/manifest.yaml")), as: UTF8.self)
    let example = manifest.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.hasPrefix("# tools:") || line.hasPrefix("#   ")
        ? String(line.dropFirst(2)) : String(line)
    }.joined(separator: "\n").replacing("planner: direct", with: "planner: react")
    packs.write(example, to: "made/mine/manifest.yaml")
    let tools = try PackLoader.load(path, shownAs: "mine").personality.tools
    #expect(tools.map(\.name) == ["word_count"])
  }

  private func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 100_000)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
  }

  @Test(arguments: [
    "", "Mine", "1mine", "a/b", "..", "a b", "ä", String(repeating: "a", count: 65),
  ])
  func aBadNameMakesNoPack(_ name: String) {
    #expect(throws: PackFailure.self) { try PackScaffold.create(name, in: packs.directory) }
  }

  @Test func nothingIsOverwritten() throws {
    packs.write("mine", to: "mine/manifest.yaml")
    #expect { try PackScaffold.create("mine", in: packs.directory) } throws: { error in
      "\(error)".contains("exists already")
    }
    #expect(read(packs.directory + "/mine/manifest.yaml") == Array("mine".utf8))
  }
}
