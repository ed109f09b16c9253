// Contract: a secret is in no message, no row, no description, no dump; only `reveal` gives it.
import Base
import Configuration
import Testing

@Suite struct ConfigSecretTests {
  static let canary = "KFMCANARY-5b1f"
  static let text = """
    [packs]
    dir = "/packs/${KEY}"
    [[providers]]
    name = "p"
    kind = "openai"
    models = ["m"]
    api_key = "${KEY}"
    headers = { "X-Key" = "plain-KFMCANARY-5b1f" }
    """

  @Test func rowsAreMasked() throws {
    let scratch = ScratchDirectory()
    scratch.write(Self.text, to: "config.toml")
    let loaded = try ConfigLoader(scratch.inputs(["KEY": Self.canary])).load()
    let rows = loaded.rows.map { $0.json.text + $0.text + $0.source.description }.joined()
    #expect(!rows.contains(Self.canary))
    for key in ["packs.dir", "providers[0].api_key", "providers[0].headers"] {
      #expect(loaded.rows.first { $0.key == key }?.value == .string("***"), "\(key)")
    }
    #expect(loaded.node.providers[0].apiKey?.reveal() == Self.canary)
  }

  @Test func descriptionsAndDumpsAreMasked() throws {
    let scratch = ScratchDirectory()
    scratch.write(Self.text.replacing("dir = \"/packs/${KEY}\"", with: ""), to: "config.toml")
    let loaded = try ConfigLoader(scratch.inputs(["KEY": Self.canary])).load()
    var out = "\(loaded) \(loaded.node) \(String(reflecting: loaded.node.providers))"
    dump(loaded, to: &out)
    dump(loaded.node, to: &out)
    dump(loaded.node.providers[0].apiKey, to: &out)
    #expect(out.contains("***"))
    #expect(!out.contains(Self.canary))
  }

  @Test func mistakesDoNotQuoteSecrets() {
    let environment = ["KEY": Self.canary]
    let said = issues(
      """
      [http]
      listen = "${KEY}"
      body_max = "${KEY}"
      allowed_hosts = ["${KEY}", "${KEY}"]
      [log]
      level = "${KEY}"
      modules = { a = "${KEY}" }
      [bus]
      url = "iggy://user:KFMCANARY-5b1f@x"
      [memory]
      redis_url = "redis://KFMCANARY-5b1f"
      [[providers]]
      name = "p"
      kind = "${KEY}"
      base_url = "http://${KEY}@x"
      headers = { "a b" = "${KEY}", c = "${KEY}" }
      """, environment: environment)
    #expect(said.count >= 9)
    #expect(!said.joined().contains(Self.canary))
  }
}
