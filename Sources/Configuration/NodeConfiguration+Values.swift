import Base

/// Typed access to values that were resolved without an issue: a key that is missing or of another
/// type here is a mistake in the table of keys.
struct ConfigValues {
  let resolved: [String: ResolvedKey]

  func optional(_ path: String) -> ConfigValue? { resolved[path]?.value }

  func string(_ path: String) -> String {
    guard case .string(let value)? = optional(path) else { missing(path) }
    return value
  }

  func optionalString(_ path: String) -> String? {
    optional(path) == nil ? nil : string(path)
  }

  func integer(_ path: String) -> Int {
    guard case .integer(let value)? = optional(path) else { missing(path) }
    return value
  }

  func duration(_ path: String) -> Nanoseconds {
    guard case .duration(let value)? = optional(path) else { missing(path) }
    return value
  }

  func size(_ path: String) -> ByteCount {
    guard case .size(let value)? = optional(path) else { missing(path) }
    return value
  }

  /// Empty without a value.
  func strings(_ path: String) -> [String] {
    guard let value = optional(path) else { return [] }
    guard case .strings(let items) = value else { missing(path) }
    return items
  }

  func map(_ path: String) -> [String: String] {
    guard let value = optional(path) else { return [:] }
    guard case .map(let pairs) = value else { missing(path) }
    return pairs
  }

  func prices(_ path: String) -> [String: ModelPrice] {
    guard let value = optional(path) else { return [:] }
    guard case .prices(let prices) = value else { missing(path) }
    return prices
  }

  private func missing(_ path: String) -> Never {
    preconditionFailure("the table of keys gives \(path) no value of the type the node reads")
  }
}

extension NodeConfiguration {
  init(_ values: ConfigValues, providerCount: Int, routeCount: Int) {
    node = Node(values)
    http = HTTP(values)
    bus = Bus(
      partitions: values.integer("bus.partitions"),
      durability: values.string("bus.durability"),
      compress: values.strings("bus.compress"),
      encryptionKey: values.optionalString("bus.encryption_key").map { Secret($0) },
      clockSkewMax: values.duration("bus.clock_skew_max"))
    engine = Engine(values)
    memory = Memory(
      embedder: values.string("memory.embedder"), indexDirectory: values.string("memory.index_dir"),
      search: values.string("memory.search"),
      historyTokens: values.integer("memory.history_tokens"))
    providers = (0..<providerCount).map { Provider(values, "providers[\($0)].") }
    routes = (0..<routeCount).map {
      Route(name: values.string("routes[\($0)].name"), use: values.strings("routes[\($0)].use"))
    }
    packs = Packs(
      directory: values.string("packs.dir"), default: values.optionalString("packs.default"))
    sandbox = Sandbox(values)
    retention = Retention(
      deltas: values.duration("retention.deltas"), calls: values.duration("retention.calls"),
      turns: values.duration("retention.turns"), deadLetters: values.duration("retention.dlq"))
    log = Log(
      level: LogLevel(name: values.string("log.level")) ?? .info,
      format: values.string("log.format"),
      modules: values.map("log.modules").compactMapValues(LogLevel.init(name:)))
    load = Load(spendMax: values.integer("load.spend_max"))
  }
}

extension NodeConfiguration.Node {
  fileprivate init(_ values: ConfigValues) {
    id = values.string("node.id")
    dataDirectory = values.string("node.data_dir")
    roles = values.strings("node.roles")
    io = values.string("node.io")
    loops = values.integer("node.loops")
    drainTimeout = values.duration("node.drain_timeout")
  }
}

extension NodeConfiguration.HTTP {
  fileprivate init(_ values: ConfigValues) {
    guard let address = ListenAddress(values.string("http.listen")) else {
      preconditionFailure("http.listen was read without being checked")
    }
    listen = address
    bodyMax = values.size("http.body_max")
    allowedHosts = values.strings("http.allowed_hosts")
    allowedOrigins = values.strings("http.allowed_origins")
  }
}

extension NodeConfiguration.Engine {
  fileprivate init(_ values: ConfigValues) {
    sessionPolicy = values.string("engine.session_policy")
    queueMax = values.integer("engine.queue_max")
    turnDeadline = values.duration("engine.turn_deadline")
    stepTimeout = values.duration("engine.step_timeout")
    attemptsMax = values.integer("engine.attempts_max")
    toolRoundsMax = values.integer("engine.tool_rounds_max")
    takeoversMax = values.integer("engine.takeovers_max")
    onDisconnect = values.string("engine.on_disconnect")
    drain = values.duration("engine.drain")
    lease = values.duration("engine.lease")
  }
}

extension NodeConfiguration.Provider {
  /// `prefix` is `providers[N].`
  fileprivate init(_ values: ConfigValues, _ prefix: String) {
    name = values.string(prefix + "name")
    kind = values.string(prefix + "kind")
    baseURL = values.optionalString(prefix + "base_url")
    apiKey = values.optionalString(prefix + "api_key").map { Secret($0) }
    models = values.strings(prefix + "models")
    headers = values.map(prefix + "headers").mapValues { Secret($0) }
    prices = values.prices(prefix + "prices")
    timeoutConnect = values.duration(prefix + "timeout_connect")
    timeoutFirstByte = values.duration(prefix + "timeout_first_byte")
    timeoutIdle = values.duration(prefix + "timeout_idle")
    timeoutTotal = values.duration(prefix + "timeout_total")
    modelDirectory = values.string(prefix + "model_dir")
    threads = values.integer(prefix + "threads")
  }
}

extension NodeConfiguration.Sandbox {
  fileprivate init(_ values: ConfigValues) {
    process = values.string("sandbox.process")
    wasm = values.string("sandbox.wasm")
    memory = values.size("sandbox.memory")
    cpu = values.duration("sandbox.cpu")
    wall = values.duration("sandbox.wall")
    output = values.size("sandbox.output")
  }
}
