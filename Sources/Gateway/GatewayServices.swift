package import Base
package import Events
package import Observability

/// What `[http]` and `[engine]` say about the gateway.
package struct GatewayOptions: Sendable {
  package var allowedHosts: [String] = []
  package var allowedOrigins: [String] = []
  /// `http.body_max`, in bytes.
  package var bodyBytesMax = 4 << 20
  /// `engine.on_disconnect = "cancel"`: a turn ends when the client that streams it goes.
  package var cancelsOnDisconnect = false

  package init() {}
}

/// The parts of a node that the gateway puts on the network.
package struct GatewayServices {
  package var turns: any TurnService
  package var personalities: any PersonalityCatalog
  package var providers: any ProviderInterface
  package var bus: any BusInspector
  package var health: HealthMonitor
  package var metrics: NodeMetrics
  package var log: Logger
  package var clock: any Clock
  package var random: any RandomSource

  package init(
    turns: any TurnService, personalities: any PersonalityCatalog,
    providers: any ProviderInterface, bus: any BusInspector, observability: Observability
  ) {
    self.turns = turns
    self.personalities = personalities
    self.providers = providers
    self.bus = bus
    health = observability.health
    metrics = observability.metrics
    log = observability.log
    clock = observability.clock
    random = observability.random
  }

  /// How the gateway sees, and is seen.
  package struct Observability {
    package var health: HealthMonitor
    package var metrics: NodeMetrics
    package var log: Logger
    package var clock: any Clock
    package var random: any RandomSource

    package init(
      health: HealthMonitor, metrics: NodeMetrics, log: Logger, clock: any Clock,
      random: any RandomSource
    ) {
      self.health = health
      self.metrics = metrics
      self.log = log
      self.clock = clock
      self.random = random
    }
  }
}
