// Contract (docs/surface.md, "Configuration"): flag over environment over file over default, for
// every key alike; the file is found by option, variable or name; relative paths start at the file;
// references in strings are replaced; nothing is read that was not handed in.
import Base
import Configuration
import Testing

@Suite struct ConfigLoaderTests {
  let scratch = ScratchDirectory()

  func load(
    _ text: String? = nil, _ environment: [String: String] = [:], flags: [ConfigFlag] = []
  ) throws -> LoadedConfiguration {
    if let text { scratch.write(text, to: "config.toml") }
    return try ConfigLoader(scratch.inputs(environment, flags: flags)).load()
  }

  @Test func defaultsHoldWithoutAFile() throws {
    let loaded = try load(nil, ["HOME": "/srv/ann"])
    let node = loaded.node
    #expect(loaded.file == nil)
    #expect(node.node.id == "host-1")
    #expect(node.node.dataDirectory == "/srv/ann/.local/share/kfm")
    #expect(node.node.roles == ["api", "core", "memory"])
    #expect(node.node.drainTimeout == .seconds(10))
    #expect(node.http.listen.description == "127.0.0.1:8080")
    #expect(node.http.bodyMax == ByteCount(4 << 20))
    #expect(node.http.allowedHosts.contains("localhost"))
    #expect(node.bus.partitions == 16)
    #expect(node.bus.clockSkewMax == .seconds(2))
    #expect(node.engine.queueMax == 16)
    #expect(node.engine.turnDeadline == .seconds(600))
    #expect(node.engine.stepTimeout == .seconds(300))
    #expect(node.engine.attemptsMax == 3)
    #expect(node.engine.toolRoundsMax == 8)
    #expect(node.engine.takeoversMax == 5)
    #expect(node.engine.lease == .seconds(2))
    #expect(node.memory.embedder == "auto")
    #expect(node.memory.indexDirectory == "/srv/ann/.local/share/kfm/index")
    #expect(node.memory.historyTokens == 2_000)
    #expect(node.providers.isEmpty)
    #expect(node.packs.directory == "/opt/kfm/share/kfm/personalities")
    #expect(node.packs.default == nil)
    #expect(node.sandbox.memory == ByteCount(256 << 20))
    #expect(node.sandbox.wall == .seconds(10))
    #expect(node.retention.calls == .seconds(30 * 86_400))
    #expect(node.retention.turns == .zero)
    #expect(node.log.level == .info)
    #expect(node.log.format == "json")
    #expect(node.load.spendMax == 0)
  }

  @Test func defaultsFollowTheMachine() throws {
    #expect(
      try load(nil, ["XDG_DATA_HOME": "/x", "HOME": "/h"]).node.node.dataDirectory == "/x/kfm")
    // A relative XDG path is invalid by its specification and must be ignored.
    #expect(
      try load(nil, ["XDG_DATA_HOME": "x", "HOME": "/h"]).node.node.dataDirectory
        == "/h/.local/share/kfm")
    #expect(try load().node.node.dataDirectory == scratch.path + "/kfm-data")
    scratch.makeDirectory("personalities")
    #expect(try load().node.packs.directory == scratch.path + "/personalities")
    let local = "[[providers]]\nname = \"l\"\nkind = \"local\"\n"
    #expect(
      try load(local).node.providers[0].modelDirectory == scratch.path + "/kfm-data/models")
    scratch.makeDirectory(".models")
    #expect(try load(local).node.providers[0].modelDirectory == scratch.path + "/.models")
  }

  @Test func everyLayerCoversTheOneBelow() throws {
    let file = "[engine]\nqueue_max = 2\nattempts_max = 4\ntool_rounds_max = 5\n"
    let environment = [
      "KFM_CFG__engine__attempts_max": "6", "KFM_CFG__engine__tool_rounds_max": "7",
    ]
    let flags = [ConfigFlag(name: "--rounds", key: "engine.tool_rounds_max", value: "9")]
    let loaded = try load(file, environment, flags: flags)
    #expect(loaded.node.engine.takeoversMax == 5)
    #expect(loaded.node.engine.queueMax == 2)
    #expect(loaded.node.engine.attemptsMax == 6)
    #expect(loaded.node.engine.toolRoundsMax == 9)
    func source(_ key: String) -> String? {
      loaded.rows.first { $0.key == key }?.source.description
    }
    #expect(source("engine.takeovers_max") == "default")
    #expect(source("engine.queue_max") == "config.toml:2")
    #expect(source("engine.attempts_max") == "environment KFM_CFG__engine__attempts_max")
    #expect(source("engine.tool_rounds_max") == "flag --rounds")
  }

  @Test func overridesReachEveryKindOfValue() throws {
    let file = "[[providers]]\nname = \"p\"\nkind = \"openai\"\nmodels = [\"a\"]\n"
    let loaded = try load(
      file,
      [
        "KFM_CFG__http__allowed_hosts": "a.example, b.example",
        "KFM_CFG__http__allowed_origins": #"["c.example"]"#,
        "KFM_CFG__http__body_max": "64KiB", "KFM_CFG__engine__step_timeout": "250ms",
        "KFM_CFG__packs__require_signed": "false", "KFM_CFG__log__modules": #"{ http = "debug" }"#,
        "KFM_CFG__providers__0__models": "x,y", "KFM_CFG__telemetry__sample": "1",
        "KFM_CFG__providers__0__prices": #"{ x = { input = 1, output = 2 } }"#,
        "KFM_CFG__config_version": "1", "KFM_CFG__node__id": "",
      ])
    #expect(loaded.node.http.allowedHosts == ["a.example", "b.example"])
    #expect(loaded.node.http.allowedOrigins == ["c.example"])
    #expect(loaded.node.http.bodyMax == ByteCount(64 << 10))
    #expect(loaded.node.engine.stepTimeout == .milliseconds(250))
    #expect(loaded.node.log.modules == ["http": .debug])
    #expect(loaded.node.providers[0].models == ["x", "y"])
    #expect(loaded.node.providers[0].prices == ["x": ModelPrice(input: 1, output: 2)])
    #expect(loaded.node.node.id == "host-1", "an empty variable counts as unset")
  }

  @Test func shortVariablesYieldToExactOnes() throws {
    #expect(try load(nil, ["KFM_DATA_DIR": "/a"]).node.node.dataDirectory == "/a")
    #expect(
      try load(nil, ["KFM_DATA_DIR": "/a", "KFM_CFG__node__data_dir": "/b"])
        .node.node.dataDirectory == "/b")
    #expect(try load("[log]\nlevel = \"error\"\n", ["KFM_LOG": "debug"]).node.log.level == .debug)
  }

  @Test func theFileIsFoundByOptionThenVariableThenName() throws {
    scratch.makeDirectory("etc")
    for name in ["config.toml", "etc/a.toml", "etc/b.toml"] {
      scratch.write("[node]\nid = \"\(name.replacing("/", with: "-"))\"\n", to: name)
    }
    var inputs = scratch.inputs()
    #expect(try ConfigLoader(inputs).load().node.node.id == "config.toml")
    inputs.environment["KFM_CONFIG"] = "etc/a.toml"
    #expect(try ConfigLoader(inputs).load().node.node.id == "etc-a.toml")
    inputs.configPath = "etc/b.toml"
    #expect(try ConfigLoader(inputs).load().node.node.id == "etc-b.toml")
    #expect(ConfigLoader(inputs).directory == scratch.path + "/etc")
    inputs.configPath = "etc/none.toml"
    #expect { try ConfigLoader(inputs).load() } throws: { error in
      "\(error)".hasPrefix("etc/none.toml: cannot be read: No such file")
    }
  }

  @Test func pathsStartAtTheirFileOrAtTheWorkingDirectory() throws {
    scratch.makeDirectory("etc")
    scratch.write("[node]\ndata_dir = \"../d/./x\"\n[packs]\ndir = \"p\"\n", to: "etc/c.toml")
    var inputs = scratch.inputs(["KFM_CFG__memory__index_dir": "i"])
    inputs.configPath = "etc/c.toml"
    let node = try ConfigLoader(inputs).load().node
    #expect(node.node.dataDirectory == scratch.path + "/d/x")
    #expect(node.packs.directory == scratch.path + "/etc/p")
    #expect(node.memory.indexDirectory == scratch.path + "/etc/i")
  }

  @Test func referencesAreReplaced() throws {
    scratch.write("from-file\n", to: "key.txt")
    scratch.write(
      """
      # a comment
      export SHADOWED=dotenv
      ONLY_HERE = "quoted \\"x\\" # kept"
      PLAIN=word # cut
      SINGLE='a\\n$b'
      EMPTY=
      """, to: ".env")
    func value(_ text: String) throws -> String {
      try load(
        "[packs]\ndir = \"/\(text)\"\n", ["SHADOWED": "real", "BLANK": ""]
      ).node.packs.directory
    }
    #expect(try value("${SHADOWED}") == "/real")
    #expect(try value("a-${ONLY_HERE}-b") == #"/a-quoted "x" # kept-b"#)
    #expect(try value("${PLAIN}${PLAIN}") == "/wordword")
    #expect(try value("${SINGLE}") == #"/a\n$b"#)
    #expect(try value("${file:key.txt}") == "/from-file")
    #expect(try value("${BLANK:-else}") == "/else")
    #expect(try value("${EMPTY:-a:-b}") == "/a:-b")
    #expect(try value("$${SHADOWED} $5") == "/${SHADOWED} $5")
  }

  @Test func dotEnvBelongsToItsFile() throws {
    scratch.write("OPENAI_API_KEY=x\n", to: ".env")
    #expect(try load().environment["OPENAI_API_KEY"] == nil)
    #expect(try load("config_version = 1\n").environment["OPENAI_API_KEY"] == "x")
  }

  @Test func providersAndRoutesAreTyped() throws {
    let loaded = try load(
      """
      [[providers]]
      name = "fast"
      kind = "openai"
      base_url = "http://127.0.0.1:9/v1"
      api_key = "${K}"
      models = ["m/1", "m2"]
      headers = { "X-Team" = "kfm" }
      prices = { "m/1" = { input = 150000, output = 600000, cached = 75000, currency = "EUR" } }
      timeout_idle = "5s"
      [[providers]]
      name = "quotes"
      kind = "extractive"
      [[routes]]
      name = "default"
      use = ["fast/m2", "fast/m/1"]
      """, ["K": "sk-1"])
    let fast = loaded.node.providers[0]
    #expect(fast.apiKey?.reveal() == "sk-1")
    #expect(fast.headers["X-Team"]?.reveal() == "kfm")
    #expect(fast.baseURL == "http://127.0.0.1:9/v1")
    #expect(
      fast.prices["m/1"]
        == ModelPrice(input: 150_000, output: 600_000, cached: 75_000, currency: "EUR"))
    #expect(fast.timeoutIdle == .seconds(5))
    #expect(fast.timeoutTotal == .seconds(600))
    #expect(loaded.node.providers[1].kind == "extractive")
    #expect(loaded.node.routes.map(\.use) == [["fast/m2", "fast/m/1"]])
  }
}
