// Contract: a good folder becomes one immutable pack whose digest names its content; nothing of
// the manifest is lost or guessed; what is not in the folder is not in the pack.
import Base
import Events
import Glibc
import PersonalityPacks
import Testing

@Suite struct PackLoaderTests {
  let packs = PackFixture()

  @Test func everyKeyArrives() throws {
    packs.writePack()
    let pack = try packs.load()
    let personality = pack.personality
    #expect(personality.id == "p")
    #expect(personality.version == "1.0.0")
    #expect(personality.description == "A pack: with a colon")
    #expect(personality.planner == .react)
    #expect(personality.systemPrompt == "Be brief.\n")
    #expect(personality.languageModel.route == "default")
    #expect(personality.languageModel.temperature == 0.5)
    #expect(personality.languageModel.maxOutputTokens == 100)
    #expect(
      personality.knowledge == Personality.KnowledgeSettings(topK: 3, minScore: 0.1))
    #expect(personality.historyTokens == 500)
    #expect(personality.directory.hasSuffix("/p"))
    #expect(personality.digest.utf8.count == 64)
    let tool = try #require(personality.tools.first)
    #expect(tool.name == "echo")
    #expect(tool.description == "Says what it was told.\n")
    #expect(tool.command == ["./tools/echo", "-n"])
    #expect(tool.effect == .read)
    #expect(tool.timeout == .seconds(5))
    #expect(tool.inputSchema["properties"]?["text"]?["maxLength"] == 100)
    #expect(pack.documents == [Personality.Document(path: "a.md", text: "# One\nText.\n")])
  }

  @Test func theLeastManifestGetsDefaults() throws {
    packs.write("name: q\nversion: 1\nsystem_prompt: s.txt\n", to: "q/manifest.yaml")
    packs.write("Hi", to: "q/s.txt")
    let pack = try packs.load("q")
    #expect(pack.personality.version == "1", "a version may look like a number")
    #expect(pack.personality.planner == .direct)
    #expect(pack.personality.languageModel.route == "default")
    #expect(pack.personality.languageModel.temperature == nil)
    #expect(pack.personality.knowledge == nil)
    #expect(pack.personality.historyTokens == nil)
    #expect(pack.documents.isEmpty)
  }

  @Test func knowledgeCountsWithoutTheKey() throws {
    packs.write("name: q\nversion: 1\nsystem_prompt: s.txt\n", to: "q/manifest.yaml")
    packs.write("Hi", to: "q/s.txt")
    packs.write("b", to: "q/knowledge/deep/er/b.txt")
    packs.write("a", to: "q/knowledge/a.md")
    packs.write("c", to: "q/knowledge/c.bin")
    let pack = try packs.load("q")
    #expect(pack.documents.map(\.path) == ["a.md", "deep/er/b.txt"])
    #expect(pack.personality.knowledge == Personality.KnowledgeSettings())
  }

  @Test func includePatternsChoose() throws {
    packs.writePack(
      manifest: "name: p\nversion: 1\nsystem_prompt: prompt.md\n"
        + "knowledge: {include: [\"x/*.md\", \"y/**\", \"?.rst\"]}\n")
    for path in ["x/1.md", "x/2.txt", "x/z/3.md", "y/4", "y/z/5.md", "6.rst", "77.rst"] {
      packs.write("text", to: "p/knowledge/\(path)")
    }
    #expect(try packs.load().documents.map(\.path) == ["6.rst", "x/1.md", "y/4", "y/z/5.md"])
  }

  @Test func programsOfTheJailAreLeftAlone() throws {
    func command(_ text: String) throws -> [String]? {
      packs.writePack(
        manifest: PackFixture.manifest("p").replacing("[tools/echo, -n]", with: text))
      return try packs.load().personality.tools.first?.command
    }
    #expect(try command("[python3, tools/echo]") == ["python3", "tools/echo"])
    #expect(try command("[/usr/bin/env]") == ["/usr/bin/env"])
    #expect(try command("[./tools/echo]") == ["./tools/echo"])
    packs.write("#!/bin/sh\n", to: "p/here", executable: true)
    #expect(try command("[here]") == ["./here"], "a file of the pack comes first")
  }

  @Test func toolsAreEffectfulUnlessTheySayOtherwise() throws {
    packs.writePack(
      manifest: PackFixture.manifest("p").replacing("    effect: read\n", with: "")
        .replacing("    timeout: 5s\n", with: ""))
    let tool = try #require(try packs.load().personality.tools.first)
    #expect(tool.effect == .effectful)
    #expect(tool.timeout == nil)
  }

  /// Any change of any file is another digest; where the folder lies is not part of it.
  @Test func theDigestNamesTheContent() throws {
    packs.writePack()
    let digest = try packs.load().personality.digest
    let other = PackFixture()
    other.writePack()
    #expect(try other.load().personality.digest == digest)
    var seen: Set = [digest]
    other.write("Be brief!\n", to: "p/prompt.md")
    #expect(seen.insert(try other.load().personality.digest).inserted)
    other.write("", to: "p/extra")
    #expect(seen.insert(try other.load().personality.digest).inserted)
    other.write("x", to: "p/extr")
    #expect(seen.insert(try other.load().personality.digest).inserted)
    PackFixture.remove(other.directory + "/p/extra")
    #expect(seen.insert(try other.load().personality.digest).inserted)
    mkdir(other.directory + "/p/.git", 0o755)
    other.write("x", to: "p/.git/HEAD")
    #expect(!seen.insert(try other.load().personality.digest).inserted)
  }

  /// A record names a pack by this value for ever: it must not change with a release.
  @Test func theDigestIsStable() throws {
    packs.write("name: q\nversion: 1\nsystem_prompt: s.txt\n", to: "q/manifest.yaml")
    packs.write("Hi", to: "q/s.txt")
    var bytes: [UInt8] = []
    for (path, text) in [
      ("manifest.yaml", "name: q\nversion: 1\nsystem_prompt: s.txt\n"), ("s.txt", "Hi"),
    ] {
      bytes += Array(path.utf8) + [0, 0, 0, 0, 0, 0, 0, 0, UInt8(text.utf8.count)]
      bytes += SHA256Digest(of: text).bytes
    }
    #expect(try packs.load("q").personality.digest == SHA256Digest(of: bytes).description)
  }

  @Test func linksAndDevicesAreRefused() {
    packs.writePack()
    symlink("/etc/passwd", packs.directory + "/p/knowledge/b.md")
    #expect(
      packs.issues() == [
        "p/knowledge/b.md: is a symbolic link; a pack has files and folders only"
      ])
    PackFixture.remove(packs.directory + "/p/knowledge/b.md")
    mkfifo(packs.directory + "/p/pipe", 0o644)
    #expect(packs.issues() == ["p/pipe: is no file; a pack has files and folders only"])
  }

  @Test func aLinkToAPackIsThatPack() throws {
    packs.writePack("q")
    symlink("q", packs.directory + "/r")
    #expect(try packs.load("r").personality.id == "q")
  }
}
