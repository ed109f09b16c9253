import AgentEngine
import Base
import Configuration
import Events
import Gateway
import Glibc
import HTTP
import Iggy
import LogBroker
import MemoryService
import Observability
import PersonalityPacks
import Providers
import Sandbox
import UringIO

/// Every part of a node, made by constructor arguments and wired together; nothing is global.
final class NodeAssembly {
  let gateway: GatewayServer
  private let configuration: NodeConfiguration
  private let loop: EventLoop
  private let log: StructuredLogger
  private let logger: Logger
  private let bus: EmbeddedBus
  private let engine: TurnManager
  private let providers: ProviderRouter
  private let providerFactory: ProviderFactory
  private let knowledge: KnowledgeLoader
  private let packs: PackRegistry

  init(
    _ loaded: LoadedConfiguration, _ loop: EventLoop, _ log: StructuredLogger, _ logger: Logger
  ) throws(StartFailure) {
    let configuration = loaded.node
    self.configuration = configuration
    self.loop = loop
    self.log = log
    self.logger = logger
    let logMetrics = LogMetrics()
    bus = try Self.openBus(configuration, loop, logger, logMetrics)
    let sideThreads = SideThreads()
    packs = try Self.openPacks(configuration, logger)
    providerFactory = ProviderFactory(
      ProviderFactory.Dependencies(
        loop: loop, transport: NodeTransport(loop: loop), sideThreads: sideThreads,
        random: SystemRandom(), logger: logger.named("providers"),
        environment: loaded.environment))
    providers = providerFactory.makeRouter(policy: RetryPolicy(configuration.engine))
    knowledge = KnowledgeLoader(
      configuration, loop, sideThreads, logger.named("memory"))
    let metrics = NodeMetrics(MetricsCollector())
    let engineMetrics = EngineMetrics(metrics)
    let events = EventPublisherSubscriber(
      bus: bus, clock: loop.clock, random: SystemRandom())
    engine = TurnManager(
      options: EngineOptions(configuration),
      services: EngineServices(
        personalities: packs, providers: providers,
        tools: BubblewrapRunner(
          options: SandboxOptions(configuration.sandbox), loop: loop,
          logger: logger.named("sandbox")),
        knowledge: knowledge.memory),
      events: events, timers: loop, metrics: engineMetrics, logger: logger.named("engine"))
    let health = HealthMonitor()
    gateway = GatewayServer(
      loop: loop,
      services: GatewayServices(
        turns: engine, personalities: packs, providers: providers,
        bus: MessageBusInspector(
          bus: bus, clock: loop.clock,
          options: Self.inspectorOptions(bus, configuration.retention)),
        observability: GatewayServices.Observability(
          health: health, metrics: metrics, log: logger.named("gateway"), clock: loop.clock,
          random: SystemRandom())),
      options: GatewayOptions(configuration))
    health.register { [bus] in Self.checks(of: bus) }
    metrics.register(log: log)
    NodeMetricSources(
      ring: loop.statistics, log: logMetrics, engine: engineMetrics, providers: providers.metrics,
      memory: knowledge.memory
    ).register(with: metrics.collector, startedAt: loop.clock.wall())
  }

  private static func openBus(
    _ configuration: NodeConfiguration, _ loop: EventLoop, _ logger: Logger,
    _ metrics: LogMetrics
  ) throws(StartFailure) -> EmbeddedBus {
    let directory = configuration.node.dataDirectory
    var options = EmbeddedBusOptions(
      storage: RingStorage(root: directory, loop: loop), loop: loop, logger: logger,
      dataDirectory: directory)
    options.partitions = configuration.bus.partitions
    options.metrics = metrics
    options.topics = topicSettings(configuration)
    options.key = try key(configuration)
    options.durabilityFloor = Durability(rawValue: configuration.bus.durability) ?? .persisted
    do throws(LogBrokerError) {
      return try EmbeddedBus.open(options)
    } catch {
      throw StartFailure(error)
    }
  }

  private static func key(_ configuration: NodeConfiguration) throws(StartFailure) -> LogKey? {
    guard let text = configuration.bus.encryptionKey else { return nil }
    if let key = LogKey(text.reveal()) { return key }
    throw StartFailure(
      "bus.encryption_key is no key; expected \(LogKey.length * 2) hexadecimal digits",
      exitCode: .usage)
  }

  /// How topics are kept (SEMANTICS D37): the configured ones go by their keys, what repeats them for
  /// others by the catalog's own limit, the rest stays for ever.
  private static func topicSettings(
    _ configuration: NodeConfiguration
  ) -> [Topic: TopicSettings] {
    var all: [Topic: TopicSettings] = [:]
    for topic in Topic.allCases {
      var settings = TopicSettings()
      let kept = configuration.retention.kept(topic)
      settings.retentionAge = kept == .zero ? nil : kept
      let isPacked = configuration.bus.compress.contains(topic.name)
      if isPacked, topic.hasShortName { settings.compression = .zstd }
      all[topic] = settings
    }
    return all
  }

  /// Packs that are wrong are refused, each with its file and lines; the others serve.
  private static func openPacks(_ configuration: NodeConfiguration, _ logger: Logger)
    throws(StartFailure) -> PackRegistry
  {
    let registry: PackRegistry
    do throws(PackFailure) {
      registry = try PackRegistry(
        directory: configuration.packs.directory, defaultName: configuration.packs.default)
    } catch {
      throw StartFailure("packs.dir: \(error)", exitCode: .usage)
    }
    for (name, failure) in registry.refusals {
      logger.named("packs").error(
        "personality refused",
        ["pack": .string(name), "issues": .array(failure.issues.map { .string($0.description) })])
    }
    return registry
  }

  private static func inspectorOptions(
    _ bus: EmbeddedBus, _ retention: NodeConfiguration.Retention
  ) -> BusInspectorOptions {
    var options = BusInspectorOptions(decodeHeaders: { bytes in UserHeaders(bytes).texts })
    options.retention = { retention.kept($0) }
    options.durability = { bus.durability(of: $0).rawValue }
    return options
  }

  private static func checks(of bus: EmbeddedBus) -> [Observability.HealthCheck] {
    if let reason = bus.fenceReason { return [.init("log", .fail, reason)] }
    return [
      bus.isDiskFull
        ? .init("log", .fail, "the disk is full; appends are refused until there is space")
        : .init("log", .ok)
    ]
  }

  /// Takes all partitions and resumes what the last run left. Runs the loop meanwhile.
  func openEngine() throws(StartFailure) {
    configureProviders(configuration)
    knowledge.open(packs)
    knowledge.watchRecall()
    var outcome: Result<Void, BusError>?
    engine.start { outcome = $0 }
    // Folding reads every journal once: minutes would mean a damaged disk, not a long log.
    let limit = loop.clock.monotonic() + .seconds(300)
    guard loop.runUntil({ outcome != nil }, deadline: limit) else {
      throw StartFailure("the log did not answer within 300 s", exitCode: .failed)
    }
    if case .failure(let error)? = outcome {
      // The partitions that are well serve; the others refuse their sessions.
      logger.error("a partition does not serve", ["reason": .string("\(error)")])
    }
  }

  private func configureProviders(_ configuration: NodeConfiguration) {
    providerFactory.configure(
      providers, providers: configuration.providers.map { ProviderOptions($0) },
      routes: configuration.routes.map { RouteOptions($0) },
      localModels: configuration.modelDirectories)
  }

  func listen() throws(StartFailure) {
    let address = configuration.http.listen.description
    guard let parsed = SocketAddress(parsing: address) else {
      throw StartFailure("http.listen: \(address) is no numeric address", exitCode: .usage)
    }
    do throws(IOFailure) {
      try gateway.start(
        listen: parsed, unixSocketPath: configuration.node.dataDirectory + "/kfm.sock")
    } catch {
      throw StartFailure(binding: address, error)
    }
  }

  /// Takes the reloadable keys of a new configuration into use.
  func apply(_ loaded: LoadedConfiguration) {
    let new = loaded.node
    log.settings = LogSettings(new.log)
    gateway.allow(hosts: new.http.allowedHosts, origins: new.http.allowedOrigins)
    engine.options = EngineOptions(new)
    providers.policy = RetryPolicy(new.engine)
    packs.defaultName = new.packs.default
    configureProviders(new)
  }

  /// No new turns; running ones may finish within `node.drain_timeout`; then everything is closed
  /// in the order that loses nothing, and `completion` is called.
  func stop(_ completion: @escaping () -> Void) {
    gateway.beginDrain()
    engine.drain(timeout: configuration.node.drainTimeout) { [self] in
      gateway.stop { [self] in
        providers.stop()
        bus.close(completion: completion)
      }
    }
  }
}

extension NodeConfiguration.Retention {
  /// How long a topic's records are kept at least; zero is for ever.
  func kept(_ topic: Topic) -> Nanoseconds {
    switch topic {
    case .calls: calls
    case .deadLetters: deadLetters
    default: topic.retention
    }
  }
}
