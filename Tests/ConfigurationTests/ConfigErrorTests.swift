// Contract: everything that is wrong is said, each on one line that begins with file and line (or
// the variable), names the key and says what is expected. Secrets are never in it.
import Base
import Configuration
import Testing

@Suite struct ConfigErrorTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var text: String
    var says: [String]
    var testDescription: String { text.replacing("\n", with: "⏎") }

    init(_ text: String, _ says: String...) {
      self.text = text
      self.says = says
    }
  }

  static let provider = "[[providers]]\nname = \"p\"\nkind = \"openai\"\nmodels = [\"m\"]\n"

  static let cases: [Case] = [
    Case(
      "colour = 1\n",
      "config.toml:1: colour: unknown key or table; expected one of config_version, node, http, "
        + "auth, bus, engine, budget, memory, providers, routes, packs, sandbox, retention, log, "
        + "telemetry, load"),
    Case(
      "\n[htttp]\nlisten = \"x\"\n",
      "config.toml:2: htttp: unknown key or table; expected \"http\"?"),
    Case(
      "[http]\nlisten_port = 3\n",
      "config.toml:2: http.listen_port: unknown key; expected one of listen, tls_cert, tls_key, "
        + "body_max, allowed_hosts, allowed_origins"),
    Case(
      "[engine]\n\nqueue_max = \"many\"\n",
      "config.toml:3: engine.queue_max: found a string; expected an integer from 0 to 10000"),
    Case(
      "[engine]\nqueue_max = -1\n",
      "config.toml:2: engine.queue_max: found \"-1\"; expected an integer from 0 to 10000"),
    Case(
      "[engine]\nqueue_max = 1.5\n",
      "config.toml:2: engine.queue_max: found a number; expected an integer from 0 to 10000"),
    Case(
      "[engine]\nstep_timeout = \"soon\"\n",
      "config.toml:2: engine.step_timeout: found \"soon\"; expected a duration like \"10s\" or "
        + "\"250ms\", from 1ms to 1d"),
    Case(
      "[engine]\nturn_deadline = \"0s\"\n",
      "config.toml:2: engine.turn_deadline: found \"0s\"; expected a duration like \"10s\" or "
        + "\"250ms\", from 1ms to 30d"),
    Case(
      "[engine]\nturn_deadline = \"99999999999999999999d\"\n",
      "config.toml:2: engine.turn_deadline: found \"99999999999999999999d\"; expected a duration "
        + "like \"10s\" or \"250ms\", from 1ms to 30d"),
    Case(
      "[http]\nbody_max = \"4MB\"\n",
      "config.toml:2: http.body_max: found \"4MB\"; expected a size like \"4MiB\", from 1KiB to 1GiB"
    ),
    Case("engine = 1\n", "config.toml:1: engine: found an integer; expected a table [engine]"),
    Case(
      "providers = 1\n",
      "config.toml:1: providers: found an integer; expected tables headed [[providers]]"),
    Case(
      "[providers]\nname = \"x\"\n",
      "config.toml:1: providers: found a table; expected tables headed [[providers]]"),
    Case(
      "[http]\nlisten = \"0.0.0.0:80\"\n",
      "config.toml:2: http.listen: 0.0.0.0 is open to other machines, which needs TLS and "
        + "auth.mode keys or jwt, and these are not in this version; expected a loopback address "
        + "like 127.0.0.1:8080"),
    Case(
      "[http]\nlisten = \"127.0.0.1:99999\"\n",
      "config.toml:2: http.listen: found \"127.0.0.1:99999\"; expected an address like "
        + "127.0.0.1:8080"),
    Case(
      "[http]\nallowed_hosts = [\"a\", 2]\n",
      "config.toml:2: http.allowed_hosts: found an integer in the array; expected an array of "
        + "strings"),
    Case(
      "[http]\nallowed_hosts = [\"a\",\n  \"b\",\n  \"a\"]\n",
      "config.toml:4: http.allowed_hosts: \"a\" is given twice; expected each once"),
    Case(
      "config_version = 99\n",
      "config.toml:1: config_version: found \"99\"; expected an integer from 1 to 1"),
    Case(
      "[bus]\npartitions = 12\n",
      "config.toml:2: bus.partitions: found \"12\"; expected an integer, a power of two from 1 to "
        + "1024"),
    Case(
      "[node]\nid = \"a b\"\n",
      "config.toml:2: node.id: found \"a b\"; expected a name of letters, digits and '._-', at most "
        + "64 long"),
    Case("[node]\ndata_dir = \"\"\n", "config.toml:2: node.data_dir: found \"\"; expected a path"),
    Case(
      "[log]\nlevel = \"loud\"\n",
      "config.toml:2: log.level: found \"loud\"; expected \"debug\", \"info\", \"warning\" or "
        + "\"error\""),
    Case(
      "[log]\nmodules = { http = \"debug\", bus = \"x\" }\n",
      "config.toml:2: log.modules: bus: found \"x\"; expected \"debug\", \"info\", \"warning\" or "
        + "\"error\""),
    Case(
      "[packs]\nrequire_signed = \"yes\"\n",
      "config.toml:2: packs.require_signed: found a string; expected true or false"),
    Case(
      "[packs]\ndir = 2020-01-01\n", "config.toml:2: packs.dir: found a date; expected a path"),
    Case(
      "[packs]\ndir = \"${KFM_NOT_SET}\"\n",
      "config.toml:2: packs.dir: the variable KFM_NOT_SET is not set; expected it in the "
        + "environment or in .env"),
    Case(
      "[packs]\ndir = \"${1x}\"\n",
      "config.toml:2: packs.dir: ${…} holds no variable's name; expected ${NAME}, "
        + "${NAME:-default} or ${file:PATH}"),
    Case(
      "[packs]\ndir = \"${X\"\n",
      "config.toml:2: packs.dir: a '${' without '}'; expected ${NAME}, or '$${' for the text '${'"),
    Case(
      "[packs]\ndir = \"${file:/none}\"\n",
      "config.toml:2: packs.dir: the file /none cannot be read: No such file or directory"),
    Case(
      "[[providers]]\nmodels = [\"m\"]\n",
      "config.toml:1: providers[0].name: missing; expected a name of letters, digits and '._-', at "
        + "most 64 long",
      "config.toml:1: providers[0].kind: missing; expected \"openai\", \"anthropic\", \"local\", "
        + "\"extractive\" or \"scripted\""),
    Case(
      "[[providers]]\nname = \"p\"\nkind = \"openai\"\n",
      "config.toml:1: providers[0].models: no model; expected at least one name, [\"…\"]"),
    Case(
      provider + "base_url = \"ftp://x\"\n",
      "config.toml:5: providers[0].base_url: found \"ftp://x\"; expected an http:// or https:// URL"
    ),
    Case(
      provider + "base_url = \"http://user:pass@x\"\n",
      "config.toml:5: providers[0].base_url: found '@'; expected a URL without a user: keys go into "
        + "api_key"),
    Case(
      provider + provider,
      "config.toml:6: providers[1].name: \"p\" is the name of providers[0]; expected another one"),
    Case(
      provider + "threads = 2\n",
      "config.toml:5: providers[0].threads: not used by the kind \"openai\"; expected only with "
        + "\"local\""),
    Case(
      provider + "prices = { x = { input = 1, output = 1 } }\n",
      "config.toml:5: providers[0].prices: \"x\" is none of its models; expected one of them"),
    Case(
      provider + "prices = { m = { input = 1 } }\n",
      "config.toml:5: providers[0].prices: m: expected both input and output, micro-units a million "
        + "tokens"),
    Case(
      provider + "headers = { \"a b\" = \"c\" }\n",
      "config.toml:5: providers[0].headers: a b: no header can be written so; expected an RFC 9110 "
        + "name, and a value of printable ASCII"),
    Case(
      provider + "[[routes]]\nname = \"default\"\nuse = [\"p/x\"]\n",
      "config.toml:7: routes[0].use: \"p/x\" is none of the models of the provider \"p\"; expected "
        + "\"provider/model\" of one of [[providers]]"),
    Case(
      "[[routes]]\nname = \"default\"\nuse = [\"q/x\"]\n",
      "config.toml:3: routes[0].use: \"q/x\" names no provider; expected \"provider/model\" of one "
        + "of [[providers]]"),
    Case(
      "[[routes]]\nname = \"default\"\nuse = []\n",
      "config.toml:3: routes[0].use: no model; expected at least one \"provider/model\""),
  ]

  @Test(arguments: cases) func isSaidInOneLine(_ one: Case) {
    #expect(issues(one.text) == one.says)
  }

  @Test(arguments: [
    ("[engine\n", 1), ("[#]\n", 1), ("a = 1\n\u{1D3} = 2\n", 2), ("\n\na = 1\na = 2\n", 4),
    ("[http]\nlisten = \n", 2), ("x = \"\u{7}\"\n", 1),
    ("[http]\n[http]\n", 2), ("a = 1 b = 2\n", 1), ("\"", 1), ("a = 'x", 1),
  ])
  func syntaxErrorsHaveTheirLine(_ text: String, _ line: Int) {
    let said = issues(text)
    #expect(said.count == 1)
    #expect(said[0].hasPrefix("config.toml:\(line): "), "\(said)")
    #expect(said[0].hasSuffix("; expected TOML 1.0"))
  }

  static let unbuilt: [(text: String, key: String)] = [
    ("[bus]\nkind = \"iggy\"", "bus.kind"), ("[bus]\nurl = \"iggy://x\"", "bus.url"),
    ("[bus.embedded]\nlisten = \"127.0.0.1:8090\"", "bus.embedded.listen"),
    ("[[bus.external]]\nproducer = \"x\"", "bus.external[0].producer"),
    ("[memory]\ncache = \"redis\"", "memory.cache"),
    ("[memory]\nredis_url = \"redis://x\"", "memory.redis_url"),
    ("[memory]\nembedder = \"p/m\"", "memory.embedder"), ("[auth]\nmode = \"keys\"", "auth.mode"),
    ("[auth]\nmode = \"jwt\"", "auth.mode"), ("[[auth.keys]]\nid = \"a\"", "auth.keys[0].id"),
    ("[http]\ntls_cert = \"x\"", "http.tls_cert"), ("[http]\ntls_key = \"x\"", "http.tls_key"),
    ("[packs]\nrequire_signed = true", "packs.require_signed"),
    ("[budget.turn]\ntokens = 5", "budget.turn.tokens"),
    ("[budget.tenant]\ntime = \"5s\"", "budget.tenant.time"),
    ("[telemetry]\notlp_endpoint = \"http://x\"", "telemetry.otlp_endpoint"),
    ("[telemetry]\nsample = 0.5", "telemetry.sample"),
    ("[node]\nloops = 2", "node.loops"), ("[node]\nroles = [\"api\"]", "node.roles"),
    ("[engine]\nsession_policy = \"merge\"", "engine.session_policy"),
    ("[engine]\ndrain = \"5s\"", "engine.drain"),
    ("[bus]\nclock_skew_max = \"1s\"", "bus.clock_skew_max"),
    ("[retention]\nturns = \"1d\"", "retention.turns"),
    ("[[routes]]\nfallback = { x = [\"a/b\"] }", "routes[0].fallback"),
    ("[[providers]]\nname = \"x\"\nkind = \"anthropic\"", "providers[0].kind"),
  ]

  @Test(arguments: unbuilt) func whatIsNotBuiltIsRefusedByName(_ one: (text: String, key: String)) {
    let line = one.text.split(separator: "\n").count
    let said = issues(one.text + "\n").filter { $0.contains("not in this version") }
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("config.toml:\(line): \(one.key): ") == true, "\(said)")
  }

  @Test func whatIsNotBuiltMayBeSetToItsDefault() {
    let text = """
      [bus]
      kind = "embedded"
      durability = "persisted"
      embedded.listen = ""
      [auth]
      mode = "local"
      [node]
      io = "uring"
      loops = 1
      roles = ["api", "core", "memory"]
      [retention]
      deltas = "24h"
      [telemetry]
      otlp_endpoint = ""
      sample = 1
      [packs]
      require_signed = false
      """
    #expect(issues(text) == [])
  }

  @Test func allOfThemAreSaidInTheOrderOfTheFile() {
    let said = issues(
      "[engine]\nqueue_max = -1\nx = 1\nlease = 5\n[node]\nid = \"\"\n",
      environment: ["KFM_CFG__log__level": "loud"])
    #expect(
      said.map { String($0.prefix { $0 != " " }) } == [
        "config.toml:2:", "config.toml:3:", "config.toml:4:", "config.toml:6:",
        "KFM_CFG__log__level:",
      ])
  }

  @Test(arguments: [
    ("KFM_CFG__engine__queue_max", "many", "engine.queue_max: found \"many\"; expected an integer"),
    ("KFM_CFG__engine__queue_maxx", "1", "engine.queue_maxx: unknown key; expected \"queue_max\"?"),
    ("KFM_CFG__nothing", "1", "nothing: unknown key or table"),
    ("KFM_CFG__engine", "1", "engine: unknown key or table"),
    ("KFM_CFG__", "1", "unknown key or table"),
    ("KFM_CFG__providers__0__name", "x", "providers: no item 0; expected the index"),
    ("KFM_CFG__log__modules", "{", "log.modules: found \"{\"; expected a table"),
    ("KFM_CFG__packs__require_signed", "1", "packs.require_signed: found \"1\"; expected true"),
    ("KFM_LOG", "loud", "log.level: found \"loud\""),
  ])
  func overridesNameTheirVariable(_ variable: String, _ value: String, _ says: String) {
    let said = issues("", environment: [variable: value])
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("\(variable): \(says)") == true, "\(said)")
  }

  @Test func mistakesInDotEnvHaveTheirPlace() {
    let scratch = ScratchDirectory()
    scratch.write("A=1\nnonsense\nB-C=2\nD=\"open\n", to: ".env")
    let said = issues("config_version = 1\n", in: scratch)
    #expect(
      said == [
        "\(scratch.path)/.env:2: expected NAME=value",
        "\(scratch.path)/.env:3: a name with other characters than letters, digits and '_'",
        "\(scratch.path)/.env:4: a quote without its end",
      ])
  }
}
