import Base

// The second half of the table: what the engine uses.
extension ConfigKeys {
  static let providerKindNames = ["openai", "anthropic", "local", "extractive", "scripted"]
  /// Kinds that are called over HTTP.
  private static let remote = ["openai", "anthropic"]

  static let memory: [ConfigKey] = [
    ConfigKey(
      path: "memory.embedder", kind: .embedder(["auto", "static", "hash"]),
      initial: .value(.string("auto")),
      summary: "What turns text into vectors; auto is static where its weights are."),
    ConfigKey(
      path: "memory.index_dir", kind: .path,
      initial: .computed(words: "index in node.data_dir") {
        .string($0.path("node.data_dir") + "/index")
      }, summary: "Where vector indexes are kept."),
    ConfigKey(
      path: "memory.search", kind: .choice(["hybrid", "vector", "text"]),
      initial: .value(.string("hybrid")),
      summary: "What questions are compared by: meaning and words, or one of them."),
    ConfigKey(
      path: "memory.cache", kind: .choice(["memory", "redis"]), initial: .value(.string("memory")),
      support: .only(["memory"]), summary: "Where looked-up things are cached."),
    ConfigKey(
      path: "memory.redis_url", kind: .string, isSecret: true, support: .initialOnly,
      summary: "Address of a Redis server, redis://…"),
    ConfigKey(
      path: "memory.history_tokens", kind: .integer(0...1_000_000),
      initial: .value(.integer(2_000)), isReloadable: true,
      summary: "Tokens of a session's history in a prompt."),
  ]

  static let providers: [ConfigKey] = [
    ConfigKey(
      path: "providers[].name", kind: .name, initial: .required, isReloadable: true,
      summary: "The first half of provider/model."),
    ConfigKey(
      path: "providers[].kind", kind: .choice(providerKindNames), initial: .required,
      isReloadable: true, support: .only(["openai", "local", "extractive", "scripted"]),
      summary: "The interface it speaks; openai is every server of that shape."),
    ConfigKey(
      path: "providers[].base_url", kind: .url, isReloadable: true, providerKinds: remote,
      summary: "Where it is; the vendor's own address without one."),
    ConfigKey(
      path: "providers[].api_key", kind: .string, isReloadable: true, isSecret: true,
      providerKinds: remote, summary: "Sent as a bearer token; best written as ${VARIABLE}."),
    ConfigKey(
      path: "providers[].models", kind: .strings, isReloadable: true,
      summary: "Models that may be asked; the first is the default."),
    ConfigKey(
      path: "providers[].headers", kind: .secretMap, isReloadable: true, isSecret: true,
      providerKinds: remote, summary: "Further request headers."),
    ConfigKey(
      path: "providers[].prices", kind: .prices, isReloadable: true,
      summary: "What its models cost; unknown prices stay unknown."),
    ConfigKey(
      path: "providers[].timeout_connect", kind: .duration(from: "10ms", to: "5m"),
      initial: .value(.duration(.seconds(5))), isReloadable: true,
      summary: "How long connecting may take."),
    ConfigKey(
      path: "providers[].timeout_first_byte", kind: .duration(from: "10ms", to: "1h"),
      initial: .value(.duration(.seconds(60))), isReloadable: true,
      summary: "How long the first byte of an answer may take."),
    ConfigKey(
      path: "providers[].timeout_idle", kind: .duration(from: "10ms", to: "1h"),
      initial: .value(.duration(.seconds(30))), isReloadable: true,
      summary: "How long a stream may pause."),
    ConfigKey(
      path: "providers[].timeout_total", kind: .duration(from: "10ms", to: "1d"),
      initial: .value(.duration(.seconds(600))), isReloadable: true,
      summary: "How long a call may take in all."),
    ConfigKey(
      path: "providers[].model_dir", kind: .path,
      initial: .computed(words: ".models in the working directory, else models in node.data_dir") {
        .string(ConfigDefaults.modelDirectory($0))
      }, isReloadable: true, providerKinds: ["local"], summary: "Where model files are."),
    ConfigKey(
      path: "providers[].threads", kind: .integer(1...256), initial: .value(.integer(1)),
      isReloadable: true, providerKinds: ["local"], summary: "Threads of the model server."),
  ]

  static let routes: [ConfigKey] = [
    ConfigKey(
      path: "routes[].name", kind: .name, initial: .required, isReloadable: true,
      summary: "What a pack's llm.route names."),
    ConfigKey(
      path: "routes[].use", kind: .strings, initial: .required, isReloadable: true,
      summary: "provider/model, in the order they are tried."),
    ConfigKey(
      path: "routes[].fallback", kind: .classes, isReloadable: true, support: .initialOnly,
      summary: "Other models for classes of errors."),
  ]

  static let packs: [ConfigKey] = [
    ConfigKey(
      path: "packs.dir", kind: .path,
      initial: .computed(
        words: "personalities in the working directory, else <prefix>/share/kfm/personalities"
      ) { .string(ConfigDefaults.packsDirectory($0)) }, summary: "The folder of the packs."),
    ConfigKey(
      path: "packs.default", kind: .name, isReloadable: true,
      summary: "The pack of turns that name none; the first by name without it."),
    ConfigKey(
      path: "packs.require_signed", kind: .boolean, initial: .value(.boolean(false)),
      support: .initialOnly, summary: "Refuse packs without a known signature."),
  ]

  static let sandbox: [ConfigKey] = [
    ConfigKey(
      path: "sandbox.process", kind: .choice(["bwrap", "off"]), initial: .value(.string("bwrap")),
      summary: "The jail of process tools; off refuses them."),
    ConfigKey(
      path: "sandbox.wasm", kind: .choice(["wasmtime", "off"]),
      initial: .value(.string("wasmtime")), summary: "The engine of Wasm tools; off refuses them."),
    ConfigKey(
      path: "sandbox.memory", kind: .size(from: "16MiB", to: "64GiB"),
      initial: .value(.size(ByteCount(256 << 20))), summary: "Memory a tool may use."),
    ConfigKey(
      path: "sandbox.cpu", kind: .duration(from: "1s", to: "1h"),
      initial: .value(.duration(.seconds(5))), summary: "Processor time a tool may use."),
    ConfigKey(
      path: "sandbox.wall", kind: .duration(from: "100ms", to: "1h"),
      initial: .value(.duration(.seconds(10))), summary: "How long a tool may run."),
    ConfigKey(
      path: "sandbox.output", kind: .size(from: "1KiB", to: "64MiB"),
      initial: .value(.size(ByteCount(1 << 20))), summary: "What a tool may write."),
  ]

  static let retention: [ConfigKey] = [
    ("deltas", 1, "Text pieces of turns that have ended", ConfigKey.Support.initialOnly),
    ("calls", 30, "Records of calls", .whole), ("turns", 0, "Turns", .initialOnly),
    ("dlq", 90, "Dead letters", .whole),
  ].map { name, days, summary, support in
    ConfigKey(
      path: "retention.\(name)", kind: .duration(from: "0d", to: "36500d"),
      initial: .value(.duration(.seconds(Int64(days) * 86_400))), support: support,
      summary: "\(summary) are kept this long at least; 0d is for ever.")
  }

  static let log: [ConfigKey] = [
    ConfigKey(
      path: "log.level", kind: .choice(LogLevel.allCases.map { "\($0)" }),
      initial: .value(.string("info")), isReloadable: true, summary: "The least that is logged."),
    ConfigKey(
      path: "log.format", kind: .choice(["json", "text"]), initial: .value(.string("json")),
      isReloadable: true, summary: "One JSON object a line, or lines for people."),
    ConfigKey(
      path: "log.modules", kind: .logLevels, initial: .value(.map([:])), isReloadable: true,
      summary: "Levels of single modules."),
  ]

  static let telemetry: [ConfigKey] = [
    ConfigKey(
      path: "telemetry.otlp_endpoint", kind: .string, initial: .value(.string("")),
      support: .initialOnly, summary: "Where traces are sent; empty for nowhere."),
    ConfigKey(
      path: "telemetry.sample", kind: .number(0...1), initial: .value(.number(1)),
      support: .initialOnly, summary: "The share of turns that is traced."),
    ConfigKey(
      path: "load.spend_max", kind: .integer(0...Int.max), initial: .value(.integer(0)),
      summary: "What kfm load may spend at providers that cost, in micro-units."),
  ]
}
