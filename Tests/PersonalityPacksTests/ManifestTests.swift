// Contract: everything that is wrong with a manifest is said, with file and line; nothing unknown
// is ignored; no file, however made, traps or takes long.
import Base
import Events
import PersonalityPacks
import Testing

@Suite struct ManifestTests {
  let packs = PackFixture()

  private func issues(_ manifest: String) -> [String] {
    packs.writePack(manifest: manifest)
    return packs.issues()
  }

  static let head = "name: p\nversion: 1\nsystem_prompt: prompt.md\n"
  static let tool =
    head + "planner: react\ntools:\n  - name: t\n    kind: process\n    description: d\n"
    + "    command: [tools/echo]\n"

  static let cases: [(manifest: String, says: [String])] = [
    (
      head + "no_such_key: 1\n",
      [
        "p/manifest.yaml:4: no_such_key: unknown key; expected one of name, version, description, "
          + "planner, system_prompt, llm, tools, knowledge, memory"
      ]
    ),
    (
      "version: 1\nsystem_prompt: prompt.md\n",
      ["p/manifest.yaml:1: name: missing; expected a string"]
    ),
    (
      "name: p\n",
      [
        "p/manifest.yaml:1: version: missing; expected a string",
        "p/manifest.yaml:1: system_prompt: missing; expected a string",
      ]
    ),
    (
      "name: q\nversion: 1\nsystem_prompt: prompt.md\n",
      [
        "p/manifest.yaml:1: name: found \"q\" in the folder \"p\"; expected the same name"
      ]
    ),
    (
      "name: P\nversion: 1\nsystem_prompt: prompt.md\n",
      [
        "p/manifest.yaml:1: name: found \"P\"; expected a-z, 0-9 and '-', beginning with a letter, "
          + "at most 64"
      ]
    ),
    (
      "name:\nversion: 1\nsystem_prompt: prompt.md\n",
      [
        "p/manifest.yaml:1: name: found nothing; expected a string"
      ]
    ),
    (
      "name: p\nversion: a b\nsystem_prompt: prompt.md\n",
      [
        "p/manifest.yaml:2: version: expected at most 64 characters without spaces, like 1.0.0"
      ]
    ),
    ("- a\n- b\n", ["p/manifest.yaml:1: found a sequence; expected a mapping"]),
    ("just text\n", ["p/manifest.yaml:1: found a scalar; expected a mapping"]),
    ("", ["p/manifest.yaml:1: the file is empty; expected a mapping"]),
    (
      head + "planner: plan\n",
      [
        "p/manifest.yaml:4: planner: plan is not in this version; expected direct or react"
      ]
    ),
    (
      head + "planner: workflow\n",
      [
        "p/manifest.yaml:4: planner: workflow is not in this version; expected direct or react"
      ]
    ),
    (
      head + "planner: magic\n",
      [
        "p/manifest.yaml:4: planner: found \"magic\"; expected direct or react"
      ]
    ),
    (
      "name: p\nversion: 1\nsystem_prompt: none.md\n",
      [
        "p/manifest.yaml:3: system_prompt: \"none.md\" does not exist in the pack; expected a file "
          + "inside the pack"
      ]
    ),
    (
      "name: p\nversion: 1\nsystem_prompt: ../q/prompt.md\n",
      [
        "p/manifest.yaml:3: system_prompt: \"../q/prompt.md\" has '.', '..' or an empty part; "
          + "expected a file inside the pack"
      ]
    ),
    (
      "name: p\nversion: 1\nsystem_prompt: /etc/passwd\n",
      [
        "p/manifest.yaml:3: system_prompt: \"/etc/passwd\" is an absolute path; expected a file "
          + "inside the pack"
      ]
    ),
    (head + "llm: fast\n", ["p/manifest.yaml:4: llm: found a scalar; expected a mapping"]),
    (
      head + "llm:\n  temperature: hot\n  max_output_tokens: 0\n  top_p: 1\n",
      [
        "p/manifest.yaml:5: llm.temperature: found \"hot\"; expected a number from 0.0 to 2.0",
        "p/manifest.yaml:6: llm.max_output_tokens: found \"0\"; expected an integer from 1 to 1000000",
        "p/manifest.yaml:7: llm.top_p: unknown key; expected one of route, temperature, "
          + "max_output_tokens",
      ]
    ),
    (
      head + "llm: {temperature: \"0.5\"}\n",
      [
        "p/manifest.yaml:4: llm.temperature: found \"0.5\"; expected a number from 0.0 to 2.0"
      ]
    ),
    (
      head + "knowledge:\n  include: \"*.md\"\n  top_k: 51\n  min_score: 2\n  chunk_tokens: 1.5\n",
      [
        "p/manifest.yaml:5: knowledge.include: found a scalar; expected a sequence of strings",
        "p/manifest.yaml:6: knowledge.top_k: found \"51\"; expected an integer from 1 to 50",
        "p/manifest.yaml:7: knowledge.min_score: found \"2\"; expected a number from -1.0 to 1.0",
        "p/manifest.yaml:8: knowledge.chunk_tokens: found \"1.5\"; expected an integer from 16 to 2000",
      ]
    ),
    (
      head + "knowledge:\n  include:\n    - ok.md\n    - ../x\n",
      [
        "p/manifest.yaml:7: knowledge.include: \"../x\" is no pattern; expected one like \"**/*.md\", "
          + "seen from knowledge/",
        "p/knowledge: no document matches ok.md, ../x; expected at least one",
      ]
    ),
    (
      head + "knowledge: {include: [\"*.rst\"]}\n",
      [
        "p/knowledge: no document matches *.rst; expected at least one"
      ]
    ),
    (
      head + "memory: {history_tokens: -1, x: 1}\n",
      [
        "p/manifest.yaml:4: memory.x: unknown key; expected one of history_tokens",
        "p/manifest.yaml:4: memory.history_tokens: found \"-1\"; expected an integer from 0 to 1000000",
      ]
    ),
    (head + "tools: {}\n", ["p/manifest.yaml:4: tools: found a mapping; expected a sequence"]),
    (
      head + "planner: react\ntools:\n  - name: t\n",
      [
        "p/manifest.yaml:6: tools[0].kind: missing; expected a string",
        "p/manifest.yaml:6: tools[0].description: missing; expected a string",
        "p/manifest.yaml:6: tools[0].command: missing; expected [PROGRAM, ARGUMENT…]",
      ]
    ),
    (
      tool.replacing("kind: process", with: "kind: wasm"),
      [
        "p/manifest.yaml:7: tools[0].kind: wasm is not in this version; expected process"
      ]
    ),
    (
      tool.replacing("kind: process", with: "kind: shell"),
      [
        "p/manifest.yaml:7: tools[0].kind: found \"shell\"; expected process"
      ]
    ),
    (
      tool.replacing("name: t", with: "name: a b"),
      [
        "p/manifest.yaml:6: tools[0].name: found \"a b\"; expected letters, digits, '_' and '-', at "
          + "most 64"
      ]
    ),
    (
      tool.replacing("tools/echo", with: "tools/none"),
      [
        "p/manifest.yaml:9: tools[0].command: \"tools/none\" does not exist in the pack; expected an "
          + "executable file of the pack"
      ]
    ),
    (
      tool.replacing("tools/echo", with: "../x/echo"),
      [
        "p/manifest.yaml:9: tools[0].command: \"../x/echo\" has '.', '..' or an empty part; expected "
          + "an executable file of the pack"
      ]
    ),
    (
      tool.replacing("tools/echo", with: "prompt.md"),
      [
        "p/manifest.yaml:9: tools[0].command: \"prompt.md\" is not executable (chmod +x); expected an "
          + "executable file of the pack"
      ]
    ),
    (
      tool.replacing("[tools/echo]", with: "[]"),
      [
        "p/manifest.yaml:9: tools[0].command: empty; expected [PROGRAM, ARGUMENT…]"
      ]
    ),
    (
      tool.replacing("react", with: "direct"),
      [
        "p/manifest.yaml:5: tools: only the planner react calls tools; expected planner: react"
      ]
    ),
    (
      tool + "    effect: maybe\n    timeout: soon\n    colour: red\n",
      [
        "p/manifest.yaml:10: tools[0].effect: found \"maybe\"; expected read, idempotent or effectful",
        "p/manifest.yaml:11: tools[0].timeout: found \"soon\"; expected a duration like 500ms or 10s, "
          + "at most 1h",
        "p/manifest.yaml:12: tools[0].colour: unknown key; expected one of name, kind, description, "
          + "command, input_schema, effect, timeout",
      ]
    ),
    (
      tool + "    timeout: 2h\n",
      [
        "p/manifest.yaml:10: tools[0].timeout: found \"2h\"; expected a duration like 500ms or 10s, at "
          + "most 1h"
      ]
    ),
    (
      tool + "    input_schema: {type: string}\n",
      [
        "p/manifest.yaml:10: tools[0].input_schema: arguments are one JSON object; expected type: "
          + "object"
      ]
    ),
    (
      tool
        + "    input_schema:\n      type: object\n      properties:\n        a:\n          type: 7\n",
      [
        "p/manifest.yaml:14: tools[0].input_schema.properties.a.type: 'type' is one of, or an array "
          + "of: null, boolean, integer, number, string, array, object"
      ]
    ),
    (
      tool + String(tool.split(separator: "\n")[5...].joined(separator: "\n")) + "\n",
      [
        "p/manifest.yaml:10: tools[1].name: a second \"t\"; expected one"
      ]
    ),
  ]

  @Test(arguments: cases) func isSaidWithItsLine(_ one: (manifest: String, says: [String])) {
    #expect(issues(one.manifest) == one.says)
  }

  @Test(arguments: [
    ("name: p\nversion: [1\n", 3), ("a: b: c\n", 1), ("\tname: p\n", 1), ("name: p\n  x: 1\n", 2),
    ("a: 1\nb: 2\na: 3\n", 3), ("a: &x 1\n", 1), ("a: 1\nb: *x\n", 2), ("a: !!str 1\n", 1),
    ("a: !x {}\n", 1), ("a: 1\n---\nb: 2\n", 2), ("%TAG ! x:\n---\na: 1\n", 1), ("? [a]\n: 1\n", 1),
    ("a: \"\\q\"\n", 1), ("a: 'x\n", 2), ("a: \u{7}\n", 1), ("{a: 1, a: 2}\n", 1),
    ("<<: {a: 1}\nb: &q [1]\n", 2),
  ])
  func whatIsNotTheSubsetIsRefused(_ text: String, _ line: Int) {
    let said = issues(text)
    #expect(said.count == 1, "\(said)")
    #expect(said.first?.hasPrefix("p/manifest.yaml:\(line): ") == true, "\(said)")
  }

  @Test func bytesThatAreNotUTF8AreRefused() {
    packs.writePack()
    packs.write([0x61, 0x3A, 0x20, 0xFF, 0x0A], to: "p/manifest.yaml")
    #expect(packs.issues().count == 1)
    packs.writePack()
    packs.write([0xFF, 0xFE], to: "p/prompt.md")
    #expect(packs.issues() == ["p/prompt.md: not UTF-8; expected a text"])
    packs.writePack()
    packs.write(" \n", to: "p/prompt.md")
    #expect(packs.issues() == ["p/prompt.md: empty; expected the system prompt"])
    packs.writePack()
    packs.write([0xC3, 0x28], to: "p/knowledge/b.md")
    #expect(packs.issues() == ["p/knowledge/b.md: not UTF-8; expected a text"])
  }

  static let bombs = [
    "flow depth": "a: " + String(repeating: "[", count: 100_000),
    "flow maps": "a: " + String(repeating: "{a: ", count: 50_000),
    "block depth": (0..<400).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
    "sequences": String(repeating: "- ", count: 100_000), "keys": keys(30_000),
    "size": String(repeating: "#", count: 300_000), "values": "a: [" + keys(25_000) + "]",
    "laughs": "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
    "long": "a: " + String(repeating: "x", count: 250_000),
    "quotes": "a: " + String(repeating: "\"", count: 100_000),
  ]
  private static func keys(_ count: Int) -> String {
    (0..<count).map { "k\($0): 1\n" }.joined()
  }

  @Test(arguments: bombs.keys.sorted()) func bombsAreRefused(_ name: String) throws {
    let text = try #require(Self.bombs[name])
    let count = issues(text).count
    #expect(count > 0)
  }

  @Test(arguments: [7_310_726 as UInt64]) func mutationsAreAnswered(seed: UInt64) {
    let random = SeededRandom(seed: seed)
    packs.writePack()
    var refused = 0
    for round in 0..<2_000 {
      packs.write(Self.mutated(random), to: "p/manifest.yaml")
      do throws(PackFailure) {
        #expect(try packs.load().personality.id == "p")
      } catch {
        refused += 1
        for issue in error.issues where issue.file == "p/manifest.yaml" {
          #expect(issue.line >= 1, "seed \(seed), round \(round): \(issue)")
        }
      }
    }
    #expect((200..<2_000).contains(refused), "the mutations are too tame or too wild: \(refused)")
  }

  private static func mutated(_ random: SeededRandom) -> [UInt8] {
    var bytes = Array(PackFixture.manifest("p").utf8)
    func place() -> Int { Int(random.next(below: UInt64(bytes.count))) }
    for _ in 0...random.next(below: 3) {
      switch random.next(below: 5) {
      case 0: bytes[place()] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes.remove(at: place())
      case 2:
        bytes.insert(
          Array("\"[]{}:-#\n&*!|>,?'%@\t ".utf8)[Int(random.next(below: 21))], at: place())
      case 3:
        let start = place()
        bytes.removeSubrange(start..<min(bytes.count, start + Int(random.next(below: 40))))
      default:
        let start = place()
        let piece = bytes[start..<min(bytes.count, start + Int(random.next(below: 60)))]
        bytes.insert(contentsOf: piece, at: place())
      }
      if bytes.isEmpty { bytes = [10] }
    }
    return bytes
  }
}
