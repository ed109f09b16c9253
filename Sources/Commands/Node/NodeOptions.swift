import AgentEngine
import Base
import Configuration
import Gateway
import Observability
import Providers
import Sandbox

// From configuration to each part's own options: the parts do not know the configuration.

extension LogSettings {
  init(_ log: NodeConfiguration.Log) {
    self.init(
      level: log.level, format: Format(rawValue: log.format) ?? .json, modules: log.modules)
  }
}

extension EngineOptions {
  init(_ configuration: NodeConfiguration) {
    self.init()
    let engine = configuration.engine
    node = configuration.node.id
    queueMax = engine.queueMax
    turnDeadline = engine.turnDeadline
    stepTimeout = engine.stepTimeout
    toolRoundsMax = engine.toolRoundsMax
    takeoversMax = engine.takeoversMax
    lease = engine.lease
    historyTokens = configuration.memory.historyTokens
  }
}

extension RetryPolicy {
  init(_ engine: NodeConfiguration.Engine) {
    self.init()
    attemptsMax = engine.attemptsMax
  }
}

extension GatewayOptions {
  init(_ configuration: NodeConfiguration) {
    self.init()
    allowedHosts = configuration.http.allowedHosts
    allowedOrigins = configuration.http.allowedOrigins
    bodyBytesMax = configuration.http.bodyMax.bytes
    cancelsOnDisconnect = configuration.engine.onDisconnect == "cancel"
  }
}

extension SandboxOptions {
  init(_ sandbox: NodeConfiguration.Sandbox) {
    self.init()
    isEnabled = sandbox.process == "bwrap"
    memory = sandbox.memory
    cpu = sandbox.cpu
    wall = sandbox.wall
    output = sandbox.output
  }
}

extension ProviderOptions {
  init(_ provider: NodeConfiguration.Provider) {
    // The configuration has checked the kind against the same list.
    self.init(name: provider.name, kind: Kind(rawValue: provider.kind) ?? .openai)
    baseURL = provider.baseURL ?? ""
    apiKey = provider.apiKey?.reveal()
    models = provider.models
    headers = provider.headers.mapValues { $0.reveal() }
    prices = provider.prices.mapValues {
      ModelPrices(input: $0.input, output: $0.output, cached: $0.cached, currency: $0.currency)
    }
    timeouts.connect = provider.timeoutConnect
    timeouts.firstByte = provider.timeoutFirstByte
    timeouts.idle = provider.timeoutIdle
    timeouts.total = provider.timeoutTotal
    modelDirectory = provider.modelDirectory
    threads = provider.threads
  }
}

extension RouteOptions {
  init(_ route: NodeConfiguration.Route) { self.init(name: route.name, use: route.use) }
}
