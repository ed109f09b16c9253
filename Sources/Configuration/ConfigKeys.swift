import Base
import Events

/// The table of keys (docs/surface.md, "Configuration"). A key that is not here does not exist.
enum ConfigKeys {
  static let all =
    node + http + auth + bus + engine + budgets + memory + providers + routes + packs + sandbox
    + retention + log + telemetry

  static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

  /// Every path that has keys below it: `bus`, `bus.embedded`, `providers[]`.
  static let tables: Set<String> = Set(
    all.flatMap { key in
      key.path.indices.filter { key.path[$0] == "." }.map { String(key.path[..<$0]) }
    })

  /// The one version of the file's format.
  static let version = 1

  private static let node: [ConfigKey] = [
    ConfigKey(
      path: "config_version", kind: .integer(version...version),
      initial: .value(.integer(version)), summary: "The format of this file."),
    ConfigKey(
      path: "node.id", kind: .name,
      initial: .computed(words: "the host name") { .string(ConfigDefaults.nodeID($0)) },
      summary: "The node's name in records and logs."),
    ConfigKey(
      path: "node.data_dir", kind: .path,
      initial: .computed(words: "$XDG_DATA_HOME/kfm, else ~/.local/share/kfm") {
        .string(ConfigDefaults.dataDirectory($0))
      }, summary: "Everything the node keeps."),
    ConfigKey(
      path: "node.roles", kind: .choices(["api", "core", "memory"]),
      initial: .value(.strings(["api", "core", "memory"])), support: .initialOnly,
      summary: "Which parts of a node run here."),
    ConfigKey(
      path: "node.io", kind: .choice(["auto", "uring", "epoll"]), initial: .value(.string("auto")),
      summary: "How the event loop talks to the kernel."),
    ConfigKey(
      path: "node.loops", kind: .integer(0...1_024), initial: .value(.integer(0)),
      support: .only(["0", "1"]), summary: "Event loops; 0 is one a core."),
    ConfigKey(
      path: "node.drain_timeout", kind: .duration(from: "0s", to: "1h"),
      initial: .value(.duration(.seconds(10))),
      summary: "How long running turns may go on after SIGTERM."),
  ]

  private static let http: [ConfigKey] = [
    ConfigKey(
      path: "http.listen", kind: .address, initial: .value(.string("127.0.0.1:8080")),
      summary: "Where the node listens; port 0 lets the kernel choose."),
    ConfigKey(
      path: "http.tls_cert", kind: .path, support: .initialOnly,
      summary: "Certificate chain, PEM."),
    ConfigKey(
      path: "http.tls_key", kind: .path, support: .initialOnly, summary: "Private key, PEM."),
    ConfigKey(
      path: "http.body_max", kind: .size(from: "1KiB", to: "1GiB"),
      initial: .value(.size(ByteCount(4 << 20))), summary: "The longest request body."),
    ConfigKey(
      path: "http.allowed_hosts", kind: .strings,
      initial: .value(.strings(ConfigDefaults.loopbackNames)), isReloadable: true,
      summary: "Names a request's Host may have, without port."),
    ConfigKey(
      path: "http.allowed_origins", kind: .strings,
      initial: .value(.strings(ConfigDefaults.loopbackNames)), isReloadable: true,
      summary: "Hosts a browser's Origin may have, without port."),
  ]

  private static let auth: [ConfigKey] = [
    ConfigKey(
      path: "auth.mode", kind: .choice(["local", "keys", "jwt"]),
      initial: .value(.string("local")), support: .only(["local"]),
      summary: "How requests are authenticated."),
    ConfigKey(
      path: "auth.keys[].id", kind: .name, support: .initialOnly, summary: "The key's name."),
    ConfigKey(
      path: "auth.keys[].hash", kind: .string, isSecret: true, support: .initialOnly,
      summary: "The key's digest."),
    ConfigKey(
      path: "auth.keys[].tenant", kind: .name, support: .initialOnly, summary: "Whose key it is."),
    ConfigKey(
      path: "auth.keys[].scopes", kind: .strings, support: .initialOnly,
      summary: "What the key may do."),
  ]

  private static let bus: [ConfigKey] = [
    ConfigKey(
      path: "bus.kind", kind: .choice(["embedded", "iggy"]), initial: .value(.string("embedded")),
      support: .only(["embedded"]), summary: "Which log the node writes."),
    ConfigKey(
      path: "bus.url", kind: .string, isSecret: true, support: .initialOnly,
      summary: "Address of an Iggy server, iggy://…"),
    ConfigKey(
      path: "bus.partitions", kind: .powerOfTwo(1_024), initial: .value(.integer(16)),
      summary: "Partitions of each topic that is placed by session."),
    ConfigKey(
      path: "bus.durability", kind: .choice(["persisted", "replicated"]),
      initial: .value(.string("persisted")),
      summary: "The least an acknowledgement means, whatever the topic's creator chose."),
    ConfigKey(
      path: "bus.compress", kind: .choices(Topic.allCases.filter(\.hasShortName).map(\.name)),
      initial: .value(.strings([])), summary: "Topics whose closed segments are packed by zstd."),
    ConfigKey(
      path: "bus.encryption_key", kind: .string, isSecret: true,
      summary:
        "64 hexadecimal digits that batches are encrypted with on the disk; none: not at all."
    ),
    ConfigKey(
      path: "bus.clock_skew_max", kind: .duration(from: "0s", to: "1m"),
      initial: .value(.duration(.seconds(2))), support: .initialOnly,
      summary: "How far clocks may be apart when deadlines are judged."),
    ConfigKey(
      path: "bus.embedded.listen", kind: .string, initial: .value(.string("")),
      support: .initialOnly, summary: "Broker port for Iggy clients; empty for none."),
    ConfigKey(
      path: "bus.external[].producer", kind: .name, support: .initialOnly,
      summary: "A producer outside the node."),
    ConfigKey(
      path: "bus.external[].principal", kind: .string, support: .initialOnly,
      summary: "Whom its turns belong to."),
  ]

  private static let engine: [ConfigKey] = [
    ConfigKey(
      path: "engine.session_policy", kind: .choice(["queue", "reject", "interrupt", "merge"]),
      initial: .value(.string("queue")), isReloadable: true, support: .only(["queue"]),
      summary: "What a new turn does while its session is busy."),
    ConfigKey(
      path: "engine.queue_max", kind: .integer(0...10_000), initial: .value(.integer(16)),
      isReloadable: true, summary: "Waiting turns a session."),
    ConfigKey(
      path: "engine.turn_deadline", kind: .duration(from: "1ms", to: "30d"),
      initial: .value(.duration(.seconds(600))), isReloadable: true,
      summary: "When a turn ends that names no deadline."),
    ConfigKey(
      path: "engine.step_timeout", kind: .duration(from: "1ms", to: "1d"),
      initial: .value(.duration(.seconds(300))), isReloadable: true,
      summary: "How long one step may take."),
    ConfigKey(
      path: "engine.attempts_max", kind: .integer(1...20), initial: .value(.integer(3)),
      isReloadable: true, summary: "Provider calls of a step in all."),
    ConfigKey(
      path: "engine.tool_rounds_max", kind: .integer(0...100), initial: .value(.integer(8)),
      isReloadable: true, summary: "Rounds of tool calls in a turn."),
    ConfigKey(
      path: "engine.takeovers_max", kind: .integer(1...100), initial: .value(.integer(5)),
      isReloadable: true, summary: "Crashes a turn survives before it counts as poison."),
    ConfigKey(
      path: "engine.on_disconnect", kind: .choice(["continue", "cancel"]),
      initial: .value(.string("continue")), isReloadable: true,
      summary: "What happens to a turn whose client has gone."),
    ConfigKey(
      path: "engine.drain", kind: .duration(from: "0s", to: "10m"),
      initial: .value(.duration(.seconds(10))), isReloadable: true, support: .initialOnly,
      summary: "How long an owner may take to hand a partition over."),
    ConfigKey(
      path: "engine.lease", kind: .duration(from: "100ms", to: "1m"),
      initial: .value(.duration(.seconds(2))), isReloadable: true,
      summary: "How long after its record an outside effect may begin."),
  ]

  private static let budgets: [ConfigKey] = ["turn", "session", "tenant"].flatMap { scope in
    [
      ConfigKey(
        path: "budget.\(scope).tokens", kind: .integer(1...Int.max), isReloadable: true,
        support: .initialOnly, summary: "Tokens a \(scope) may use."),
      ConfigKey(
        path: "budget.\(scope).cost_micros", kind: .integer(1...Int.max), isReloadable: true,
        support: .initialOnly, summary: "What a \(scope) may cost, in micro-units."),
      ConfigKey(
        path: "budget.\(scope).calls", kind: .integer(1...Int.max), isReloadable: true,
        support: .initialOnly, summary: "Provider calls a \(scope) may make."),
      ConfigKey(
        path: "budget.\(scope).time", kind: .duration(from: "1s", to: "365d"), isReloadable: true,
        support: .initialOnly, summary: "Time a \(scope) may take."),
    ]
  }
}
