// Contract: `config show` has a row for every key, `config schema` describes every key, and a
// reload is told apart from a restart; all three from the one table of keys.
import Base
import Configuration
import Events
import Testing

@Suite struct ConfigShowTests {
  let scratch = ScratchDirectory()

  func load(_ text: String, _ environment: [String: String] = [:]) throws -> LoadedConfiguration {
    scratch.write(text, to: "config.toml")
    return try ConfigLoader(scratch.inputs(environment)).load()
  }

  @Test func rowsHaveKeyValueSourceAndMark() throws {
    let loaded = try load(
      "[engine]\nlease = \"3s\"\n[[providers]]\nname = \"p\"\nkind = \"extractive\"\n")
    let lease = try #require(loaded.rows.first { $0.key == "engine.lease" })
    #expect(
      lease.json == [
        "key": "engine.lease", "value": "3s", "source": "config.toml:2", "reloadable": true,
      ])
    #expect(loaded.rows.first { $0.key == "node.data_dir" }?.isReloadable == false)
    #expect(loaded.rows.first { $0.key == "providers[0].kind" }?.value == "extractive")
    #expect(loaded.rows.first { $0.key == "providers[0].base_url" }?.value == nil)
    #expect(
      loaded.rows.first { $0.key == "budget.turn.tokens" }?.text == "budget.turn.tokens = (none)")
    #expect(Set(loaded.rows.map(\.key)).count == loaded.rows.count)
  }

  /// SURFACE's table, key by key: adding one there without adding it here would go unnoticed.
  @Test func everyKeyOfTheSurfaceIsThere() throws {
    let loaded = try load("[[providers]]\nname = \"p\"\nkind = \"extractive\"\n")
    let keys = Set(loaded.rows.map(\.key))
    let surface = """
      config_version node.id node.data_dir node.roles node.io node.loops node.drain_timeout
      http.listen http.tls_cert http.tls_key http.body_max http.allowed_hosts http.allowed_origins
      auth.mode bus.kind bus.url bus.partitions bus.durability bus.clock_skew_max
      bus.compress bus.encryption_key bus.embedded.listen engine.session_policy engine.queue_max engine.turn_deadline
      engine.step_timeout engine.attempts_max engine.tool_rounds_max engine.takeovers_max
      engine.on_disconnect engine.drain engine.lease budget.turn.tokens budget.session.cost_micros
      budget.tenant.calls budget.turn.time memory.embedder memory.index_dir memory.search memory.cache
      memory.redis_url memory.history_tokens providers[0].name providers[0].kind
      providers[0].base_url providers[0].api_key providers[0].models providers[0].headers
      providers[0].prices providers[0].timeout_connect providers[0].timeout_first_byte
      providers[0].timeout_idle providers[0].timeout_total providers[0].model_dir
      providers[0].threads packs.dir packs.default packs.require_signed sandbox.process
      sandbox.wasm sandbox.memory sandbox.cpu sandbox.wall sandbox.output retention.deltas
      retention.calls retention.turns retention.dlq log.level log.format log.modules
      telemetry.otlp_endpoint telemetry.sample load.spend_max
      """
    for key in surface.split(whereSeparator: \.isWhitespace).map(String.init) {
      #expect(keys.contains(key), "\(key)")
    }
  }

  @Test func theSchemaDescribesEveryKey() throws {
    let schema = ConfigSchema.json
    #expect(schema["properties"]?["engine"]?["properties"]?["queue_max"]?["default"] == 16)
    let provider = schema["properties"]?["providers"]?["items"]
    #expect(provider?["required"] == ["name", "kind"])
    #expect(provider?["additionalProperties"] == false)
    // Its own checker reads it, once the one keyword is gone that is an annotation alone.
    let checker = try JSONSchema(Self.withoutDefaults(schema))
    #expect(
      checker.violations(of: [
        "config_version": 1, "engine": ["queue_max": 3, "lease": "1s"],
        "providers": [["name": "p", "kind": "openai", "models": ["m"], "api_key": "${K}"]],
      ]) == [])
    let wrong = checker.violations(of: ["engine": ["queue_max": "x", "y": 1], "providers": [[:]]])
    #expect(
      wrong.map(\.pointer) == [
        "/engine/queue_max", "/engine/y", "/providers/0", "/providers/0",
      ])
  }

  private static func withoutDefaults(_ json: JSON) -> JSON {
    guard case .object(let object) = json else {
      return json.array.map { .array($0.map(withoutDefaults)) } ?? json
    }
    // `packs.default` is a property of that name.
    let isSchema = object["description"]?.string != nil
    var out = JSONObject()
    for member in object.members where !(member.name == "default" && isSchema) {
      out[member.name] = withoutDefaults(member.value)
    }
    return .object(out)
  }

  @Test func aChangeIsSortedIntoReloadAndRestart() throws {
    let old = try load("[engine]\nlease = \"1s\"\n[http]\nbody_max = \"1MiB\"\n")
    #expect(ConfigChange(from: old, to: old).isEmpty)
    let new = try load(
      """
      [engine]
      lease = "2s"
      [http]
      body_max = "2MiB"
      allowed_hosts = ["x"]
      [[providers]]
      name = "p"
      kind = "extractive"
      """)
    let change = ConfigChange(from: old, to: new)
    #expect(change.needingRestart == ["http.body_max"])
    #expect(change.reloaded.contains("engine.lease"))
    #expect(change.reloaded.contains("http.allowed_hosts"))
    #expect(change.reloaded.contains("providers[0].name"))
    #expect(!change.reloaded.contains("engine.queue_max"))
  }

  @Test func aChangedSecretIsAChange() throws {
    let text =
      "[[providers]]\nname = \"p\"\nkind = \"openai\"\nmodels = [\"m\"]\napi_key = \"${K}\"\n"
    let change = ConfigChange(from: try load(text, ["K": "a"]), to: try load(text, ["K": "b"]))
    #expect(change.reloaded == ["providers[0].api_key"])
  }
}

@Suite struct ConfigExampleTests {
  /// The file people copy: it must load as it is, and the values it shows must be the defaults.
  @Test func theExampleShowsTheDefaults() throws {
    let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let scratch = ScratchDirectory()
    let defaults = try ConfigLoader(scratch.inputs(["HOME": "/srv/ann"])).load()
    var inputs = scratch.inputs(["HOME": "/srv/ann"])
    inputs.configPath = root + "/config.example.toml"
    let example = try ConfigLoader(inputs).load()
    var shown = 0
    for row in example.rows where row.source != .initial && !row.key.contains("[") {
      shown += 1
      #expect(row.value == defaults.rows.first { $0.key == row.key }?.value, "\(row.key)")
    }
    #expect(shown >= 20)
  }
}
