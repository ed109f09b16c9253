import Base
import Events
import Gateway
import HTTP
import Observability
import TestSupport
import Testing
import UringIO

/// A gateway over real sockets, with an engine and a bus of the test's.
final class GatewayHarness {
  let loop: EventLoop
  let clock: LeapClock
  let turns: FakeTurns
  let bus = FakeBus()
  let providers = FakeProviders()
  let health = HealthMonitor()
  let metrics = NodeMetrics(MetricsCollector())
  let ring = LogRing()
  let gateway: GatewayServer
  let address: SocketAddress

  /// Runs `body` on the loop's thread.
  static func run(
    options: GatewayOptions = GatewayOptions(), unixSocketPath: String? = nil,
    _ body: (GatewayHarness) throws -> Void
  ) throws {
    let clock = LeapClock()
    let loop = try EventLoop(clock: clock)
    defer { loop.close() }
    let harness = try GatewayHarness(loop, clock, options, unixSocketPath)
    try body(harness)
    var isStopped = false
    harness.gateway.stop { isStopped = true }
    #expect(harness.until { isStopped })
  }

  private init(
    _ loop: EventLoop, _ clock: LeapClock, _ options: GatewayOptions, _ unixSocketPath: String?
  ) throws {
    self.loop = loop
    self.clock = clock
    turns = FakeTurns(loop: loop)
    bus.enqueue = { loop.enqueue($0) }
    let inspector = MessageBusInspector(
      bus: bus, clock: clock, options: BusInspectorOptions { _ in [("type", "T.v1")] })
    let observability = GatewayServices.Observability(
      health: health, metrics: metrics, log: Logger(module: "gateway", ring: ring, clock: clock),
      clock: clock, random: SeededRandom(seed: 1))
    gateway = GatewayServer(
      loop: loop,
      services: GatewayServices(
        turns: turns, personalities: FakePersonalities(), providers: providers, bus: inspector,
        observability: observability), options: options)
    try gateway.start(
      listen: .ipv4(host: "127.0.0.1", port: 0), unixSocketPath: unixSocketPath)
    address = gateway.address!
  }

  func until(_ condition: () -> Bool) -> Bool {
    loop.runUntil(condition, deadline: LoopHarness.deadline)
  }

  /// Sends one request and waits for its whole answer.
  func ask(
    _ method: String, _ path: String, _ body: String? = nil, _ fields: [String: String] = [:],
    to address: SocketAddress? = nil
  ) throws -> Answer {
    let client = try open(method, path, body, fields, to: address)
    defer { client.close() }
    try #require(until { client.answer != nil })
    return client.answer!
  }

  /// Sends one request; the answer comes while the loop runs.
  func open(
    _ method: String, _ path: String, _ body: String? = nil, _ fields: [String: String] = [:],
    to address: SocketAddress? = nil
  ) throws -> TestClient {
    let client = TestClient(loop: loop)
    client.connect(to: address ?? self.address)
    try #require(until { client.isConnected })
    client.send(method, path, body, fields)
    return client
  }

  func events(_ body: String = #"{"user_message":"x"}"#, _ fields: [String: String] = [:]) throws
    -> (client: TestClient, attachment: FakeTurns.Attachment)
  {
    let count = turns.attachments.count
    let client = try open(
      "POST", "/v1/turns", body, fields.merging(["Accept": "text/event-stream"]) { $1 })
    try #require(until { turns.attachments.count > count && client.head != nil })
    return (client, turns.attachments[count])
  }

  var metricsText: String { String(decoding: metrics.collector.render(), as: UTF8.self) }
}
